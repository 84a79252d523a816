r"""The paper's CRNN on batches as they come: configs/crnn.py without balancing.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018, table 1, "CRNN-logMel-noBatchBal".
Chosen: ReLU, and as many batches of 44 as the balanced system, so that only the
sampling differs; a comment in the released code speaks of 31 passes in batches of 100.
670,417 parameters.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
43.9 %.

    python -m gcrnn_jax.main --config=configs/crnn_unbalanced.py \
        --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows crnn_unbalanced
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import crnn


def get_config() -> ConfigDict:
    config = crnn.get_config()
    config.sampling.balanced = False
    return config
