r"""configs/best.py and a CNN of VGG blocks, fused: an ensemble in one command.

420,849 parameters and 298,219

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from gcrnn_jax.configs import best, vgg_cnn


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 2
    config.ensemble.differing = tuple(_differing(config, _vgg_cnn()))
    return config


def _vgg_cnn() -> ConfigDict:
    """A quarter as wide, frames of 40 ms, posteriors of 80 ms, 1,200 steps."""
    config = vgg_cnn.get_config()
    config.model.filters = (16, 32, 64, 128)
    config.model.time_pooling = (2, 1, 1, 1)
    config.front_end.window_length = 2048
    config.front_end.hop_length = 1280
    config.augmentation.max_time_mask_frames = 16
    config.training.num_epochs = 60
    config.training.steps_per_epoch = 20
    config.training.evaluate_every = 5
    return config


def _differing(first: ConfigDict, second: ConfigDict) -> Iterator[tuple]:
    """The fields in which two configurations differ, and the values of both."""
    yield "model", tuple(tuple(one.model.items()) for one in (first, second))
    yield "data.speeds", (first.data.speeds, second.data.speeds)
    for section in "front_end", "sampling", "augmentation", "optimizer", "training":
        for name, value in first[section].items():
            if second[section][name] != value:
                yield f"{section}.{name}", (value, second[section][name])
