r"""The Frame-CNN: convolutions over time, taught by frames and by clips.

Source: Chou, Jang, Yang, DCASE 2017, and their later code: 128 mels of 44.1 kHz, SGD
from 0.1 falling to a tenth three times, batches of 64, 100 passes through the 51,172
training clips; classes weighted by their rarity, and so drawn as they come; 2,816,162
parameters. Their ln(1 + 10000 x) is ln(x + 0.0001) up to a constant, here with the
scale of the spectrum.
Chosen: a periodic Hann window on power spectra.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
44.3 %, 1-s F1 40.9 %, error rate 0.906.

    python -m gcrnn_jax.main --config=configs/frame_cnn.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows frame_cnn
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.sample_rate_hz = 44100
    config.front_end.window = "periodic_hann"
    config.front_end.window_length = 2048
    config.front_end.hop_length = 492
    config.front_end.centered = True
    config.front_end.power = 2.0
    config.front_end.num_mels = 128
    config.front_end.max_hz = 22050.0
    config.front_end.floor = 1.3e-7
    config.model = ConfigDict()
    config.model.kind = "frame_cnn"
    config.model.filters = (128, 256, 384, 384)
    config.model.time_pooling = (1, 4, 4, 1)
    config.model.tagging_units = (1024, 1024)
    config.model.dropout = 0.5
    config.model.activation = "relu"
    config.model.batch_norm_momentum = 0.9
    config.sampling.batch_size = 64
    config.sampling.balanced = False
    config.loss.frame_weight = 1.0
    config.loss.frame_attention = True
    config.loss.class_balance_power = 0.3
    config.optimizer.kind = "sgd"
    config.optimizer.learning_rate = 0.1
    config.optimizer.schedule = "staircase"
    config.optimizer.weight_decay = 1e-4
    config.training.num_epochs = 100
    config.training.steps_per_epoch = 800
    config.fusion.first_fraction = 1.0  # the last epoch alone
    return config
