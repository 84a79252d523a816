r"""The paper's tagging system on MFCC: 40 coefficients with two derivatives each.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018, "Gated-CRNN-MFCC"; the released code has
its name only. Chosen: coefficients of the same 64 mels, derivatives over 9 frames;
893,073 parameters.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
36.3 %; fused with configs/at.py (`at_fusion`) 52.1 %.

    python -m gcrnn_jax.main --config=configs/at_mfcc.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows at_mfcc
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.front_end.kind = "mfcc"
    return config
