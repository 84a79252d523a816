"""What may change between a run and its continuation."""

from collections.abc import Mapping
from typing import Any

from gcrnn_jax.fields import as_json_lists, flatten
from gcrnn_jax.old_names import with_todays_names

_LENGTH = "training.num_epochs"
_RATE = "optimizer.learning_rate"  # which may change where training diverged
_MEMBERS = "ensemble.members"  # of which there may be more, or fewer

# The rest would make another run. Where the data lie may change, what they are may not:
# `Run.check_data`.
_FREE = (
    "training.evaluate_every",
    "training.tensorboard",
    "fusion.",
    "postprocessing.",
    "thresholds.",
    "parallel.cpu_devices",
    "parallel.device_cache_fraction",
    "data.root",
    "data.num_workers",
    "data.max_bad_fraction",
    "data.store",
    "front_end.path",
)


def config_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], *, rate_may_change: bool
) -> list[str]:
    """The fields, a line each, that make a configuration one of another run.

    Args:
        before: The sections that the run was begun with, maybe by an earlier version.
        now: Those that it is to go on with.
        rate_may_change: Whether the learning rate may be another.
    """
    before = flatten(as_json_lists(with_todays_names(before)))
    now = flatten(as_json_lists(now))
    free = _FREE
    if (schedule := before.get("optimizer.schedule")) == "constant":
        free += (_LENGTH,)  # of others, the rate at every step depends on it
    if rate_may_change:
        free += (_RATE,)
    if min(before.get(_MEMBERS, 1), now[_MEMBERS]) > 1:
        free += (_MEMBERS,)  # those that are there stay as they are
    remarks = {_LENGTH: f" (a {schedule} schedule cannot be prolonged)"}
    return [
        f"{name}: {_short(before, name)} -> {_short(now, name)}" + remarks.get(name, "")
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and not name.startswith(free)
    ]


def _short(fields: Mapping[str, Any], name: str) -> str:
    """A value for a message; that of `ensemble.differing` may be very long."""
    text = str(fields.get(name, "absent"))
    return text if len(text) <= 200 else f"{text[:199]}…"
