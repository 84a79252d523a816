r"""configs/sed.py as the authors' code has it: 1,189,059 parameters.

Source: `main_crnn_sed.py`: two GRUs as in configs/at_authors.py, and attention that is
a softmax over the classes of the detection, where the text's is over time.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached 1-s F1
39.5 %, error rate 0.972.

    python -m gcrnn_jax.main --config=configs/sed_authors.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows sed_authors
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.model.gru_gate = "hard_sigmoid"
    config.model.gru_candidates = ("linear", "sigmoid")
    config.model.attention_over = "classes"
    config.model.attention_reads = "detection"
    return config
