r"""configs/at.py with the recurrence of the authors' code: 1,188,753 parameters.

Source: `main_crnn_at.py`: the product of two GRUs, one with linear and one with sigmoid
candidates, both with hard gates, where the text has one GRU.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
43.9 %.

    python -m gcrnn_jax.main --config=configs/at_authors.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows at_authors
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.model.gru_gate = "hard_sigmoid"
    config.model.gru_candidates = ("linear", "sigmoid")
    return config
