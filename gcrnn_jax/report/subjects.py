"""What pages are about: a run that has ended, or a system that was evaluated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.inference import Labelled
from gcrnn_jax.metrics.evaluator import CHOSEN_HERE, Row
from gcrnn_jax.report import curves, examples
from gcrnn_jax.report.page import Subject
from gcrnn_jax.report.recordings import (
    find_recordings,
    recordings_of_folder,
    unknown_recordings,
)


def of_run(
    workdir: Path,
    config: Mapping[str, Any],
    store: FeatureStore,
    split: Split,
    *,
    note: str,
    rows: list[Row],
    chosen: Row,
    shown: examples.Shown,
    attention: np.ndarray,
) -> Subject:
    """A run's systems side by side.

    Args:
        workdir: Of the run.
        config: Of the run.
        store: Of its features.
        split: That the rows were scored on.
        note: Where thresholds come from.
        rows: The systems.
        chosen: The one to look into.
        shown: Its cases, of `choose_cases`.
        attention: [n, T, K] of the averaged model in the clips of `shown`.
    """
    steps_per_epoch = config["training"]["steps_per_epoch"]
    return Subject(
        title=f"{workdir.resolve().name}, {split.name}",
        note=note,
        split=split,
        rows=rows,
        chosen=chosen,
        shown=shown,
        front_end=store.front_end,
        recordings=find_recordings(config, store.front_end),
        attention=attention,
        attention_note="Attention is that of the model of averaged weights.",
        curves=curves.training_curves(workdir, steps_per_epoch),
    )


def of_evaluation(
    system: Path,
    scored: Labelled,
    rows: list[Row],
    *,
    root: Path | None,
    is_own_data: bool,
) -> Subject:
    """A model, or the posteriors in a file, of which the first row is looked into.

    Args:
        system: The model or the file.
        scored: What it says of a split.
        rows: With thresholds found elsewhere, if there are any, and fixed.
        root: Of the recordings, if the user says so.
        is_own_data: Whether the split is of the data that the model's card names.
    """
    split, front_end, chosen = scored.split, scored.store.front_end, rows[0]
    shown = examples.choose_cases(chosen, split)
    recordings = unknown_recordings("--root says where the recordings are")
    if root:
        recordings = recordings_of_folder(root, front_end)
    elif scored.config and is_own_data:
        recordings = find_recordings(scored.config, front_end)
    attention, attention_note = None, "Attention needs a model, not posteriors alone."
    if scored.attention:
        attention, attention_note = scored.attention(shown.part_of(split)), ""
    note = "Thresholds are those that the system has; in %."
    if chosen.thresholds != "fixed":
        note = f"Thresholds found on {chosen.thresholds}; in %."
    if chosen.thresholds == CHOSEN_HERE:
        note += " Other clips would score lower."
    return Subject(
        title=f"{system.name}, {split.name}",
        note=note,
        split=split,
        rows=rows,
        chosen=chosen,
        shown=shown,
        front_end=front_end,
        recordings=recordings,
        attention=attention,
        attention_note=attention_note,
        curves=curves.curves_beside(system, scored.config) if scored.config else None,
    )
