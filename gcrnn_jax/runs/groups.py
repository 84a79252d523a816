"""Which clips of a split share a source, where a file says so."""

import dataclasses
from pathlib import Path
from typing import Any

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.threshold_options import ThresholdOptions
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.names import Names
from gcrnn_jax.evaluation.recordings import read_groups
from gcrnn_jax.metrics.evaluator import sources_of


def evaluator_options(thresholds: ThresholdOptions, split: Split) -> dict[str, Any]:
    """The arguments of an `Evaluator` that fits thresholds on halves of a split.

    Raises:
        DataError: The file of groups cannot be read, or a clip has no group or two.
    """
    options = dataclasses.asdict(thresholds)
    source = options.pop("groups")
    return {**options, "groups": clip_groups(source, split) if source else None}


def clip_groups(source: str, split: Split) -> list[str]:
    """The group of each clip, of a file of two columns: clips or recordings, groups.

    Raises:
        DataError: It cannot be read, or a clip has no group or two.
    """
    path, mistakes = Path(source).expanduser(), []
    for keys in (list(split.clip_ids), sources_of(split)):
        names = Names(keys, f"split {split.name}")
        try:
            groups = dict(
                zip(names.names, read_groups(str(path), path, names), strict=True)
            )
        except DataError as error:
            mistakes.append(error)
        else:
            return [groups[key] for key in keys]
    raise mistakes[0]
