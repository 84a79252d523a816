"""What a page shows: of a run that has ended, or of an evaluated system."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.store import Split
from gcrnn_jax.metrics.evaluator import CHOSEN_HERE, Row
from gcrnn_jax.report import clip_readers, examples

if TYPE_CHECKING:  # which bring JAX
    from gcrnn_jax.runs.labelled import LabelledPosteriors
    from gcrnn_jax.runs.run import Run


@dataclass(frozen=True)
class ReportData:
    """What a page shows."""

    title: str
    note: str  # where thresholds come from, and what scores are worth
    split: Split
    rows: list[Row]
    main_row: Row  # one of them, which the rest of the page is about
    selection: examples.ExampleSelection  # of its decisions
    front_end: FrontEnd
    read_clip: clip_readers.ClipReader
    attention: np.ndarray | None  # [n, T, K] of the selected clips
    attention_note: str  # whose it is, or why there is none
    curves: dict[str, Any] | None  # of `Run.curves`; None: the run is not known


def collect_evaluation(
    system: Path,
    scored: "LabelledPosteriors",
    rows: list[Row],
    *,
    run: "Run | None",
    root: Path | None,
    is_own_data: bool,
) -> ReportData:
    """A model, or the posteriors in a file, of which the first row is looked into.

    Args:
        system: The model or the file.
        scored: Its posteriors of a split.
        rows: With thresholds found elsewhere, if there are any, and fixed.
        run: That the model is of, if it lies in one's folder.
        root: Of the recordings, if the user names it.
        is_own_data: Whether the split is of the data that the model's card names.
    """
    split, front_end, main_row = scored.split, scored.store.front_end, rows[0]
    selection = examples.select_examples(main_row, split)
    read_clip = clip_readers.empty_reader("--root says where the recordings are")
    if root:
        options = scored.config and scored.config.data.layout_options(front_end)
        read_clip = clip_readers.folder_reader(root, front_end, options)
    elif scored.config and is_own_data:
        data, seed = scored.config.data, scored.config.seed
        read_clip = clip_readers.clip_reader(data, seed, front_end)
    attention, attention_note = None, "Attention needs a model, not posteriors alone."
    if scored.model:
        attention = scored.model.attention(selection.select(split))
        attention_note = ""
    note = "Thresholds are those that the system has; in %."
    if main_row.thresholds != "fixed":
        note = f"Thresholds found on {main_row.thresholds}; in %."
    if main_row.thresholds == CHOSEN_HERE:
        note += " Other clips would score lower."
    return ReportData(
        title=f"{system.name}, {split.name}",
        note=note,
        split=split,
        rows=rows,
        main_row=main_row,
        selection=selection,
        front_end=front_end,
        read_clip=read_clip,
        attention=attention,
        attention_note=attention_note,
        curves=run.curves() if run else None,
    )
