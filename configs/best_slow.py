r"""configs/best.py and a CNN of VGG blocks, fused: an ensemble in one command.

420,849 parameters and 298,226 parameters, with 17 classes. Fields in which the two
differ are changed in a file of one's own, not on the command line.

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
    """Fields that say how to train, and the values of two configurations.

    The clips, the epochs that are fused and the decisions are those of the first.
    """
    yield "model", tuple(tuple(one.model.items()) for one in (first, second))
    yield "data.speeds", (first.data.speeds, second.data.speeds)
    sections = "front_end", "sampling", "augmentation", "loss", "optimizer", "training"
    for section in sections:
        for name, value in first[section].items():
            if second[section][name] != value:
                yield f"{section}.{name}", (value, second[section][name])
