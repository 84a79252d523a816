r"""A wide CNN of VGG blocks, the trunk of what later led the task: long training.

Source: Kong, Xu, Wang, Plumbley, "Sound event detection of weakly labelled data with
CNN-Transformer and automatic threshold optimization", TASLP 2020, and their code: 64
mels of 32 kHz from 50 to 14,000 Hz, 1,001 frames in 10 s, posteriors every 80 ms;
SpecAugment and mixup, classes drawn as they come, batches of 32, Adam from 0.001,
70,000 steps; 4,703,714 parameters. Their ten times log10 of powers of at least 1e-10 is
ln(x + 2.6e-13) up to constants, here with the scale of the spectrum.
Chosen: attention over time, of their three heads; a cosine, where their rate falls to a
tenth after 50,000 steps; Adam without AMSGrad; masks after mixing, not before, and a
partner never outweighs its clip. The GRU or transformer that they also put behind the
CNN is left out.

    python -m gcrnn_jax.main --config=configs/vgg_cnn.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows vgg_cnn
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.sample_rate_hz = 32000
    config.front_end.window = "periodic_hann"
    config.front_end.hop_length = 320
    config.front_end.centered = True
    config.front_end.power = 2.0
    config.front_end.min_hz = 50.0
    config.front_end.max_hz = 14000.0
    config.front_end.floor = 2.6e-13
    config.model = ConfigDict()
    config.model.kind = "vgg_cnn"
    config.model.filters = (64, 128, 256, 512)
    config.model.units = 2
    config.model.time_pooling = (2, 2, 2, 1)
    config.model.frequency_pooling = (2, 2, 2, 1)
    config.model.clip_pooling = "attention"  # or "mean" or "max"
    config.model.batch_norm_momentum = 0.9
    config.sampling.batch_size = 32
    config.sampling.balanced = False
    config.augmentation.mixup_alpha = 1.0
    config.augmentation.time_masks = 2
    config.augmentation.max_time_mask_frames = 64
    config.augmentation.frequency_masks = 2
    config.augmentation.max_frequency_mask_bins = 8
    config.optimizer.schedule = "cosine"
    config.training.num_epochs = 70
    config.training.steps_per_epoch = 1000
    config.postprocessing.tag_threshold = 0.5
    config.postprocessing.hysteresis = 1 / 3
    config.postprocessing.gap_s = 0.1
    config.postprocessing.min_event_s = 0.1
    config.postprocessing.at_least_one_tag = False
    config.fusion.first_fraction = 1.0  # the last epoch alone
    return config
