"""Which clips of a split share a source, where a file says so."""

import dataclasses
from pathlib import Path
from typing import Any

from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.threshold_options import ThresholdOptions
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.names import Names
from gcrnn_jax.evaluation.recordings import read_groups
from gcrnn_jax.metrics.evaluator import sources_of


def check_groups(thresholds: ThresholdOptions, store: FeatureStore) -> None:
    """Raises DataError, before training, for groups that could not be used after it."""
    split = store.find_split(None)
    evaluator_options(thresholds, split, store.find_fit_split(split))


def evaluator_options(
    thresholds: ThresholdOptions, split: Split, fit_split: Split | None
) -> dict[str, Any]:
    """The arguments of an `Evaluator` beside the splits.

    There are groups where thresholds come from halves of the clips, without fit split.

    Raises:
        DataError: The file of groups cannot be read, or a clip has no group or two.
    """
    options = dataclasses.asdict(thresholds)
    source, groups = options.pop("groups"), None
    if source and fit_split is None:
        groups = clip_groups(source, split, "thresholds.groups")
    return {**options, "groups": groups}


def clip_groups(source: str, split: Split, field: str) -> list[str]:
    """The group of each clip, of a file of two columns: clips or recordings, groups.

    Args:
        source: The file.
        split: With the clips.
        field: Or flag that names the file, for messages.

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
            mistakes.append(str(error))
        else:
            return [groups[key] for key in keys]
    raise DataError(f"{field}: {'; by recording: '.join(dict.fromkeys(mistakes))}")
