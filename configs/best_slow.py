r"""configs/best.py three times, from one start: an ensemble in one command.

Each member draws weights and batches of its own, and is a run in the folder `members`;
their posteriors are averaged.
MEASURED

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import best


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 3
    return config
