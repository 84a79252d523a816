"""Lines over time and over thresholds: loss and scores of a run, precision and recall.

A run keeps its loss in metrics.jsonl, a line a step, and its scores in scores.jsonl, a
line an epoch, of the split that is watched while it trains.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data.atomic_files import write_atomically
from gcrnn_jax.metrics.scoring import Scores, epoch_scores
from gcrnn_jax.metrics.tables import to_json
from gcrnn_jax.metrics.tagging import threshold_steps

LOSSES = "metrics.jsonl"
SCORES = "scores.jsonl"
_MAX_POINTS = 400  # of a line; more cannot be told apart


def keep_scores(workdir: Path, epoch: int, split: str, scores: Scores) -> None:
    """Adds the scores of an epoch to a run; those of this and later epochs go.

    So an epoch that is trained again, after a machine died, is there once.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    line = {"epoch": epoch, "split": split, **epoch_scores(scores)}
    path = workdir / SCORES
    kept = [old for old in _read_lines(path, "epoch") if old["epoch"] < epoch]
    lines = [json.dumps(to_json(one)) + "\n" for one in (*kept, line)]
    write_atomically(path, ["".join(lines).encode()])


def training_curves(workdir: Path, steps_per_epoch: int) -> dict[str, Any]:
    """The loss and the scores of a run, as far as it kept them.

    Args:
        workdir: Of the run.
        steps_per_epoch: An epoch is this many steps.

    Returns:
        "loss": [x, mean loss] up to 400 times, x in epochs; "scores": the lines of
        scores.jsonl; "split": that they are of, "" without any.
    """
    losses = [line["loss"] for line in _read_lines(workdir / LOSSES, "loss")]
    scores = _read_lines(workdir / SCORES, "epoch")
    ends = np.linspace(0, len(losses), min(len(losses), _MAX_POINTS) + 1).astype(int)
    return {
        "loss": [
            [(first + end) / 2 / steps_per_epoch, float(np.mean(losses[first:end]))]
            for first, end in zip(ends[:-1], ends[1:], strict=True)
        ],
        "scores": scores,
        "split": scores[-1]["split"] if scores else "",
    }


def curves_beside(model: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The curves of the run that a model lies in; None: it lies in none.

    Args:
        model: A run's folder, a checkpoint in it or an averaged model.
        config: Of the model.
    """
    for folder in [model, *model.resolve().parents[:2]]:
        if (folder / LOSSES).exists():
            return training_curves(folder, config["training"]["steps_per_epoch"])
    return None


def precision_recall(
    label: np.ndarray, posterior: np.ndarray, max_points: int = 150
) -> list[list[float]]:
    """Precision at every recall that some threshold gives.

    Args:
        label: bool [N].
        posterior: [N].
        max_points: Of the curve, which keeps both ends.

    Returns:
        [recall, precision] with falling thresholds; [] without a label.

    Example:
        >>> precision_recall(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
        [[0.5, 1.0], [0.5, 0.5], [1.0, 0.6666666666666666]]
    """
    if not label.any():
        return []
    hits, estimated = threshold_steps(label, posterior)
    points = np.stack([hits / hits[-1], hits / estimated], axis=1)
    kept = np.linspace(0, len(points) - 1, min(len(points), max_points))
    return points[np.round(kept).astype(int)].tolist()


def _read_lines(path: Path, field: str) -> list[dict[str, Any]]:
    """The whole lines of a log; a machine that died may have cut the last."""
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
            line[field]  # a line of something else has it not
        except (ValueError, KeyError, TypeError):
            break
        lines.append(line)
    return lines
