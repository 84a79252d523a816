"""The paper's event detection on MFCC: configs/sed.py as configs/at_mfcc.py is at.py.

It has 897,425 parameters. Its posteriors and those of configs/sed.py are what the paper
fuses:

    python -m gcrnn_jax.main --config=configs/sed_mfcc.py --config.data.root=FOLDER
    python -m gcrnn_jax.fuse runs/sed runs/sed_mfcc --output fused.npz
"""

from ml_collections import ConfigDict

from configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.kind = "mfcc"
    return config
