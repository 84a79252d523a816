"""Configurations of what a run trains before itself, in the same command."""

from collections.abc import Mapping
from typing import Any

from gcrnn_jax.errors import ConfigError

Sections = Mapping[str, Any]


def soundscape_fields(values: Sections) -> dict[str, Any]:
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
            **{"root": "", "store": "", "layout": ""},
            **{"held_out_fraction": 0.0, "held_out_part": 0},
            "speeds": (),  # which soundscapes have not
        },
        "training": {
            **_without_teachers(epochs),
            "soundscape_epochs": 0,
            "frozen": (),
        },
        "augmentation": {"max_speed": 0.0, "max_pitch": 0.0},
        "loss": {"consistency_weight": 0.0},  # there are no unlabelled clips
        "thresholds": {"groups": ""},  # of the recordings
        "fusion": {"first_epoch": epochs, "last_epoch": epochs, "every": 1},
        "ensemble": {"members": 1, "differing": ()},
    }
    return _changed(values, differing)


def teacher_fields(values: Sections, part: int) -> dict[str, Any]:
    """The configuration of a teacher, from whose training a part of the clips is kept.

    All members of an ensemble that differ in nothing but their seeds have the same.

    Args:
        values: Sections of the system, whose `training.teachers` are over 0.
        part: Which one, counted from 0.

    Raises:
        ConfigError: The system would not learn from its teachers.
    """
    if values["data"]["held_out_fraction"]:
        raise ConfigError(
            "training.teachers: each of them holds out a part of the training clips: "
            "expected data.held_out_fraction 0"
        )
    if not values["loss"]["strong_weight"]:
        raise ConfigError(
            "training.teachers: what they find are strong labels, of which "
            "loss.strong_weight 0 learns nothing"
        )
    if values["loss"]["frame_weight"]:
        raise ConfigError(
            "training.teachers: loss.frame_weight counts for clips without strong "
            "labels, of which teachers leave none: expected 0"
        )
    training = values["training"]
    differing = {
        "data": {"held_out_fraction": 1 / training["teachers"], "held_out_part": part},
        "training": _without_teachers(training["teacher_epochs"]),
        "fusion": {"first_epoch": 0, "last_epoch": 0},
        "ensemble": {"members": 1, "differing": ()},
    }
    return _changed(values, differing)


def _without_teachers(num_epochs: int) -> dict[str, Any]:
    """Fields of `training` that are the same for all members."""
    return {
        **{"num_epochs": num_epochs, "evaluate_every": num_epochs},
        **{"teachers": 0, "seed_offset": 0, "tensorboard": False},
    }


def _changed(values: Sections, differing: Mapping[str, Sections]) -> dict[str, Any]:
    return {
        **values,
        **{name: {**values.get(name, {}), **of} for name, of in differing.items()},
    }
