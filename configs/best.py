r"""What measures best on a few hundred clips: configs/few_clips.py, augmented further.

Random filters (Nam, Kim, Park, ICASSP 2022), shifts in frequency and clips added to
each other, beside few_clips.py's shifts in time, masks and mixup; wider by half:
259,953 parameters with 17 classes. On weak ESC-10, on which it was settled, on 2 cores
in 7 minutes, the last command reached tag F1 74.2 %, 1-s F1 63.2 %, error rate 0.661;
benchmarks/README.md has the way there.

    python -m gcrnn_jax.main --config=configs/best.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows best
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import few_clips


def get_config() -> ConfigDict:
    config = few_clips.get_config()
    config.model.filters = 48
    config.augmentation.max_shift_bins = 3
    config.augmentation.filter_db = 8.0
    config.augmentation.added_fraction = 0.5
    config.postprocessing.tag_threshold = 0.45
    config.postprocessing.event_threshold = 0.5
    config.fusion.first_fraction = 0.73  # 22, 24 ... 30
    config.fusion.every = 2
    return config
