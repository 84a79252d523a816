r"""configs/best.py twice, with windows of 64 and of 128 ms: an ensemble in one command.

Each member draws weights and batches of its own, and is a run in the folder `members`;
their posteriors are averaged. 259,953 parameters each with 17 classes, and twice the
time of configs/best.py.

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import best


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 2
    config.ensemble.differing = (("front_end.window_length", (1024, 2048)),)
    return config
