r"""The paper's CRNN without gates: as configs/at.py, with ReLU in place of every gate.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018, table 1, "CRNN-logMel": the text says
that the gates replace ReLU. The released code has none (configs/crnn_linear.py).
670,417 parameters.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
45.1 %.

    python -m gcrnn_jax.main --config=configs/crnn.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows crnn
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.model.gated_convolution = False
    return config
