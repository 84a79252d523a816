r"""configs/best.py four times, from one start: an ensemble in one command.

Each member draws weights and batches of its own, and is a run in the folder `members`;
their posteriors are averaged. 420,849 parameters each with 17 classes.
On three folds of weak ESC-10: tag F1 69.9 % (69.3 to 70.4), mAP 76.7 % (74.9 to 77.9),
1-s F1 63.5 % (62.7 to 64.3), error rate 0.596 (0.576 to 0.608). On its validation part,
which chose nothing: 75.4 %, 81.3 %, 65.3 % and 0.560; each of them alone 69.7 to 73.4,
74.3 to 79.8, 61.7 to 64.2 and 0.545 to 0.616. 16 to 22 minutes on two cores,
depending on their speed.

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import best


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 4
    return config
