"""The logs of a run: the loss of every step, the scores of every epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.metrics.scoring import Scores, epoch_scores
from gcrnn_jax.metrics.tables import to_json
from gcrnn_jax.training.loop import read_log, write_log

_MAX_POINTS = 400  # of a line; more cannot be told apart


def append_scores(path: Path, epoch: int, split_name: str, scores: Scores) -> None:
    """Adds the scores of an epoch to a log; those of this and later epochs go.

    So an epoch that is trained again, after a machine died, is there once.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    line = {"epoch": epoch, "split": split_name, **epoch_scores(scores)}
    before = [old for old in read_log(path, "epoch") if old["epoch"] < epoch]
    write_log(path, [to_json(one) for one in (*before, line)])


def read_curves(
    loss_path: Path, scores_path: Path, steps_per_epoch: int
) -> dict[str, Any]:
    """The loss and the scores of a run, as far as it kept them.

    Args:
        loss_path: A line a step.
        scores_path: A line an epoch.
        steps_per_epoch: An epoch is this many steps.

    Returns:
        "loss": [x, mean loss] up to 400 times, x in epochs; "scores": the lines of
        the scores; "split": that they are of, "" without any.
    """
    losses = [line["loss"] for line in read_log(loss_path, "loss")]
    scores = read_log(scores_path, "epoch")
    ends = np.linspace(0, len(losses), min(len(losses), _MAX_POINTS) + 1).astype(int)
    return {
        "loss": [
            [(first + end) / 2 / steps_per_epoch, float(np.mean(losses[first:end]))]
            for first, end in zip(ends[:-1], ends[1:], strict=True)
        ],
        "scores": scores,
        "split": scores[-1]["split"] if scores else "",
    }
