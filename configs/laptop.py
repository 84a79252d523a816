"""What `make train` runs: a small detector that two cores train in minutes.

As configs/sed.py on fewer soundscapes, with a quarter of the filters, half the frames,
merged by two (0.166 s), and a rate that falls to 0.
77,553 parameters.

    python -m gcrnn_jax.main --config=configs/laptop.py
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.data.soundscapes = (3000, 250, 250)
    config.front_end.window_length = 2048
    config.front_end.hop_length = 1328
    config.model.blocks = (1, 1, 1, 1)
    config.model.filters = 16
    config.model.time_pooling = (2, 1, 1, 1)
    config.model.last_filters = 64
    config.model.rnn_units = 64
    config.model.batch_norm_momentum = 0.95
    config.sampling.batch_size = 32
    config.sampling.class_size_thresholds = (100, 200, 300, 400)
    config.optimizer.learning_rate = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 20
    config.training.num_epochs = 12
    config.training.steps_per_epoch = 50
    config.fusion.first_fraction = 0.75  # 9, 10, 11, 12
    return config
