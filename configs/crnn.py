"""The paper's CRNN without gates: as configs/at.py, with ReLU in place of every gate.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018, table 1, "CRNN-logMel": the text says
that the gates replace ReLU. The released code has none (configs/crnn_linear.py).
670,417 parameters.

    python -m gcrnn_jax.main --config=configs/crnn.py --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.model.gated = False
    return config
