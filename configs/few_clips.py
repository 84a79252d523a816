"""For a few hundred to a few thousand clips: a small detector with augmentation.

As configs/sed.py with half the filters in one unit a block, frames merged by four
(0.166 s), time shift, SpecAugment and mixup, and a rate that falls to 0: the paper's
own recipe learns so few clips by heart. 171,857 parameters with 17 classes. README.md
has what it reached.

    python -m gcrnn_jax.main --config=configs/few_clips.py --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.data.soundscapes = (1000, 200, 200)
    config.model.blocks = (1, 1, 1, 1)
    config.model.filters = 32
    config.model.time_pooling = (2, 2, 1, 1)
    config.model.last_filters = 128
    config.model.rnn_units = 64
    config.model.batch_norm_momentum = 0.98
    config.sampling.batch_size = 32
    config.augmentation.max_shift_frames = 120
    config.augmentation.time_masks = 2
    config.augmentation.max_time_mask_frames = 32
    config.augmentation.frequency_masks = 2
    config.augmentation.max_frequency_mask_bins = 8
    config.augmentation.mixup_alpha = 0.5
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 50
    config.training.num_epochs = 30
    config.training.steps_per_epoch = 40
    config.fusion.first_fraction = 0.53  # 16, 18 ... 30
    return config
