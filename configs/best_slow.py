r"""configs/best.py three times, from one start: an ensemble in one command.

Each member draws weights and batches of its own, and is a run in the folder `members`;
their posteriors are averaged. 99,713 parameters each with 17 classes.
Two members on three folds of weak ESC-10: tag F1 67.9 % (65.8 to 69.5), mAP 71.8 %, 1-s
F1 60.0 %, error rate 0.644; three were not measured.

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import best


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 3
    return config
