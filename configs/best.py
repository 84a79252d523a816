r"""What measures best on a few hundred clips, with a start from soundscapes.

configs/few_clips.py with half the frames, blocks of more and more filters, and other
augmentation: neither mixup nor masks, but clips played faster and slower, shifts in
frequency, random filters (Nam, Kim, Park, ICASSP 2022), clips added to each other. The
network first learns the 17 classes of 8,000 built-in soundscapes, in the same command.
420,849 parameters with 17 classes.
On three folds of weak ESC-10, whose recordings training has not heard, four seeds each:
tag F1 68.5 % (folds: 66.5 to 69.6), mAP 73.7 % (72.0 to 75.0), 1-s F1 61.2 % (58.8 to
62.4), error rate 0.619 (0.605 to 0.646).
On the validation part of weak ESC-10, which chose nothing of it: 72.0 %, 79.0 %, 63.7 %
and 0.594. 7 to 9 minutes on two cores, depending on their speed.
benchmarks/README.md has the way there.

    python -m gcrnn_jax.main --config=configs/best.py --config.data.root=FOLDER
    python -m benchmarks.folds --folds weak_esc10_folds --output FOLDER --config best
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import few_clips


def get_config() -> ConfigDict:
    config = few_clips.get_config()
    config.data.soundscapes = (8000, 200, 200)
    config.data.speeds = (0.7, 0.8, 0.87, 0.93, 1.08, 1.16, 1.27, 1.4)
    config.front_end.window_length = 2048
    config.front_end.hop_length = 1328
    config.model.filters = 16
    config.model.filter_multiples = (1, 2, 4, 8)
    config.model.batch_norm_momentum = 0.95
    config.sampling.class_size_thresholds = (100, 200, 300, 400)
    config.augmentation.max_speed = 0.3
    config.augmentation.max_pitch = 0.25
    config.augmentation.max_shift_frames = 60
    config.augmentation.time_masks = 0
    config.augmentation.frequency_masks = 0
    config.augmentation.mixup_alpha = 0.0
    config.augmentation.max_shift_bins = 3
    config.augmentation.filter_db = 8.0
    config.augmentation.added_fraction = 0.5
    config.optimizer.warmup_steps = 20
    config.training.num_epochs = 36
    config.training.evaluate_every = 6
    config.training.soundscape_epochs = 30
    config.postprocessing.tag_threshold = 0.45
    config.postprocessing.event_threshold = 0.4
    config.postprocessing.gap_s = 1.0
    config.fusion.first_fraction = 0.75  # 28, 32, 36
    config.fusion.every = 4
    return config
