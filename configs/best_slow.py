r"""configs/best.py three times, from one start: an ensemble in one command.

Each member draws weights and batches of its own, and is a run in the folder `members`;
their posteriors are averaged. 420,849 parameters each with 17 classes.
Two members on three folds of weak ESC-10: tag F1 69.8 % (66.6 to 73.0), mAP 75.1 %
(72.4 to 77.3), 1-s F1 63.4 % (59.1 to 65.8), error rate 0.586 (0.542 to 0.634). Three
on its validation part, which chose nothing, after a start that changed speeds and
pitches, too: 74.9 %, 80.6 %, 67.1 % and 0.527; each of them alone 71.6 to 74.7, 77.0 to
79.4, 62.8 to 67.8 and 0.523 to 0.609. About 22 minutes on two cores.

    python -m gcrnn_jax.main --config=configs/best_slow.py --config.data.root=FOLDER
    python -m gcrnn_jax.predict runs/best_slow RECORDINGS --output found
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import best


def get_config() -> ConfigDict:
    config = best.get_config()
    config.ensemble.members = 4
    return config
