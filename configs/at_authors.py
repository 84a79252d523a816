"""configs/at.py with the recurrence of the authors' code: 1,188,753 parameters.

Source: `main_crnn_at.py`: the product of two GRUs, one with linear and one with sigmoid
candidates, both with hard gates, where the text has one GRU.

    python -m gcrnn_jax.main --config=configs/at_authors.py --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from configs import at


def get_config() -> ConfigDict:
    config = at.get_config()
    config.model.gru_gate = "hard_sigmoid"
    config.model.gru_candidates = ("linear", "sigmoid")
    return config
