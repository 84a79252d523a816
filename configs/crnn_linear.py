r"""The CRNN without gates as the authors' code has it: 670,417 parameters.

Source: `main_cnnrnn_balbatch_norm_baseline_icassp2018.py`: no activation after a
convolution but the last one's, a GRU of ReLU candidates and hard gates, frequency
pooled by 3 in the fourth block and by 2 at the end.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
45.1 %.

    python -m gcrnn_jax.main --config=configs/crnn_linear.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows crnn_linear
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import crnn


def get_config() -> ConfigDict:
    config = crnn.get_config()
    config.model.ungated_activation = "linear"
    config.model.frequency_pooling = (2, 2, 2, 3)
    config.model.last_frequency_pooling = 2
    config.model.gru_gate = "hard_sigmoid"
    config.model.gru_candidates = ("relu",)
    return config
