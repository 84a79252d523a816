"""The logs of a run: the loss of every step, the scores of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from gcrnn_jax.data.atomic_files import json_line, read_json_lines, write_atomically
from gcrnn_jax.metrics.scoring import Scores, epoch_scores
from gcrnn_jax.metrics.tables import to_json

_MAX_POINTS = 400  # of a line; more cannot be told apart


def append_scores(path: Path, epoch: int, split_name: str, scores: Scores) -> None:
    """Adds the scores of an epoch to a log; those of this and later epochs go.

    So an epoch that is trained again, after a machine died, is there once.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    line = {"epoch": epoch, "split": split_name, **epoch_scores(scores)}
    logged = (old for _, old in read_json_lines(path, "epoch"))
    before = [old for old in logged if old["epoch"] < epoch]
    lines = [json_line(to_json(one)) for one in (*before, line)]
    write_atomically(path, ["".join(lines).encode()])


def has_scores(path: Path, epoch: int) -> bool:
    """Whether a log holds the scores of an epoch."""
    return any(line["epoch"] == epoch for _, line in read_json_lines(path, "epoch"))


def read_curves(
    loss_path: Path,
    scores_path: Path,
    steps_per_epoch: int,
    num_steps: int = 0,
    *,
    num_scored: int = 0,
) -> dict[str, Any]:
    """The loss and the scores of a run, as far as it kept them.

    Args:
        loss_path: A line a step.
        scores_path: A line an epoch.
        steps_per_epoch: An epoch is this many steps.
        num_steps: That were trained; a log of fewer is a warning.
        num_scored: Epochs that were scored; a log of fewer is a warning.

    Returns:
        "loss": [x, mean loss] up to 400 times, x in epochs; "scores": the lines of
        the scores; "split": that they are of, "" without any.
    """
    losses = [line["loss"] for _, line in read_json_lines(loss_path, "loss")]
    scores = [line for _, line in read_json_lines(scores_path, "epoch")]
    for path, lines, count in (
        (loss_path, losses, num_steps),
        (scores_path, scores, num_scored),
    ):
        if len(lines) < count:
            logging.warning("%s: %s lines of %s are there", path, len(lines), count)
    ends = np.linspace(0, len(losses), min(len(losses), _MAX_POINTS) + 1).astype(int)
    return {
        "loss": [
            [(first + end) / 2 / steps_per_epoch, float(np.mean(losses[first:end]))]
            for first, end in zip(ends[:-1], ends[1:], strict=True)
        ],
        "scores": scores,
        "split": scores[-1]["split"] if scores else "",
    }
