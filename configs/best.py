"""What measures best on a few hundred clips: configs/few_clips.py, augmented further.

Random filters (Nam, Kim, Park, ICASSP 2022), shifts in frequency and clips added to
each other, beside few_clips.py's shifts in time, masks and mixup; wider by half:
259,953 parameters with 17 classes. benchmarks/README.md has what each of them adds.

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
    config.postprocessing.tag_threshold = 0.45
    config.postprocessing.event_threshold = 0.5
    config.fusion.epochs = "22:30:2"
    return config
