r"""The paper's event detection on MFCC: configs/sed.py as configs/at_mfcc.py is at.py.

It has 897,425 parameters. Its posteriors and those of configs/sed.py are what the paper
fuses.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached 1-s F1
38.8 %, error rate 0.921; fused with configs/sed.py (`sed_fusion`) 48.7 % and 0.781.

    python -m gcrnn_jax.main --config=configs/sed_mfcc.py --config.data.root=FOLDER
    python -m gcrnn_jax.fuse runs/sed runs/sed_mfcc --output fused.npz
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows sed_mfcc
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.kind = "mfcc"
    return config
