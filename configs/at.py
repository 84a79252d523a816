r"""The paper's audio tagging system: as configs/sed.py, with frames merged by eight.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018; the mean over 30 frames is the clip's
posterior. 893,073 parameters.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
43.3 %.

    python -m gcrnn_jax.main --config=configs/at.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows at
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.model.time_pooling = (2, 2, 2, 1)
    config.model.clip_pooling = "mean"
    return config
