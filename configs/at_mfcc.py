"""The paper's tagging system on MFCC: 40 coefficients with two derivatives each.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018, "Gated-CRNN-MFCC"; the released code has
its name only. Chosen: coefficients of the same 64 mels, derivatives over 9 frames;
893,073 parameters.

    python -m gcrnn_jax.main --config=configs/at_mfcc.py --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.front_end.kind = "mfcc"
    return config
