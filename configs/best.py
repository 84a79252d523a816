"""What measures best on a few hundred clips: configs/few_clips.py, augmented further.

Source: random filters and shifts in frequency after Nam, Kim, Park, ICASSP 2022;
hysteresis after Kong et al., 2019. Wider by half than few_clips.py: 259,953
parameters with 17 classes.

    python -m gcrnn_jax.main --config=configs/best.py --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from configs import few_clips


def get_config() -> ConfigDict:
    config = few_clips.get_config()
    config.model.filters = 48
    config.augmentation.max_shift_bins = 3
    config.augmentation.filter_db = 8.0
    config.augmentation.added_fraction = 0.5
    config.postprocessing.hysteresis = 0.4
    return config
