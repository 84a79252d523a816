"""The training on soundscapes that a run may start from."""

from collections.abc import Mapping
from typing import Any


def soundscape_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a system on built-in soundscapes, before its recordings.

    Its network, front end, optimizer and augmentation, but for changes of speed and
    pitch, which tell the classes of soundscapes apart; all members of an ensemble that
    differ in none of these have the same.

    Args:
        values: Sections of the system, whose `training.soundscape_epochs` are over 0.

    Example:
        >>> training = {"soundscape_epochs": 50, "num_epochs": 60, "seed_offset": 2}
        >>> sections = {"data": {}, "training": training, "loss": {}, "fusion": {}}
        >>> fields = soundscape_fields(sections)
        >>> fields["training"]["num_epochs"], fields["training"]["soundscape_epochs"]
        (50, 0)
    """
    epochs = values["training"]["soundscape_epochs"]
    differing = {
        "data": {
            **{"root": "", "store": "", "layout": "", "held_out_fraction": 0.0},
            "speeds": (),  # which soundscapes have not
        },
        "training": {
            "num_epochs": epochs,
            "soundscape_epochs": 0,
            "evaluate_every": epochs,
            "seed_offset": 0,
            "frozen": (),
            "tensorboard": False,
        },
        "augmentation": {"max_speed": 0.0, "max_pitch": 0.0},
        "loss": {"consistency_weight": 0.0},  # there are no unlabelled clips
        "thresholds": {"groups": ""},  # of the recordings
        "fusion": {"first_epoch": epochs, "last_epoch": epochs, "every": 1},
        "ensemble": {"members": 1, "differing": ()},
    }
    return {
        **values,
        **{name: {**values.get(name, {}), **of} for name, of in differing.items()},
    }
