"""Posteriors of a run: computed by all processes, held by the first, kept in files."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from absl import logging

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posterior_files import Block, checked_blocks
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors, mean_blocks
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.training import processes
from gcrnn_jax.training.fusion import Fusion

if TYPE_CHECKING:  # whose posteriors they are
    from gcrnn_jax.runs.run import Run


def predict_epochs(
    run: "Run", epochs: Sequence[int], split: Split, model: TrainedModel
) -> Iterator[PosteriorSet]:
    """Posteriors of epochs, counted from 1, computed where not yet on disk.

    By all processes at once; those but the first get sets without clips. Sets too
    large for memory are not kept.

    Args:
        run: Trained.
        epochs: Of the run.
        split: Of its data.
        model: Of the run; it takes the weights of the epochs.
    """
    is_kept = not model.is_large(split)
    for epoch in epochs:
        path = run.posteriors(split, epoch)
        yield _load_or_predict(run, path, [epoch], split, model, is_kept=is_kept)


def predict_fused(
    run: "Run", fusion: Fusion, split: Split, model: TrainedModel
) -> PosteriorSet:
    """The mean posteriors of epochs; the others as of `predict_epochs`.

    Of sets too large for memory the mean alone is kept: each batch is computed with
    the weights of every epoch.
    """
    fusion = fusion.of_run(run.config.training.num_epochs)
    epochs = fusion.epochs(run.config.training.num_epochs)
    if not model.is_large(split):
        sets = list(predict_epochs(run, epochs, split, model))
        return sets[0] if jax.process_index() else fuse_posteriors(sets)
    name = f"epochs-{epochs[0]}-{epochs[-1]}-{fusion.every}.npz"
    path = run.posteriors(split, epochs[0]).with_name(name)
    return _load_or_predict(run, path, epochs, split, model, is_kept=True)


def _load_or_predict(
    run: "Run",
    path: Path,
    epochs: Sequence[int],
    split: Split,
    model: TrainedModel,
    *,
    is_kept: bool,
) -> PosteriorSet:
    """The mean of epochs that a file holds, or that is computed, and saved if kept.

    What is damaged, or of other clips, is computed again.
    """
    is_first, rules = jax.process_index() == 0, run.config.postprocessing
    fields = {**model.describe(split), "postprocessing": rules}
    found = _load(path, split) if is_first and path.exists() else None
    if processes.broadcast_from_first(found is not None):
        if found is not None:
            return dataclasses.replace(found, postprocessing=rules)
        num_classes = len(split.class_names)
        nothing = np.zeros((0, num_classes)), np.zeros((0, 0, num_classes))
        return collect_in_first([nothing], fields)
    weights = [run.load_epoch(epoch)[1] for epoch in epochs]
    models = [model.replace(variables=variables) for variables in weights]
    blocks = mean_blocks([one.predict_blocks(split) for one in models])
    places = {"path": path} if is_kept else {"scratch": path.parent}
    return collect_in_first(blocks, fields, **places)


def collect_in_first(
    blocks: Iterable[Block],
    fields: dict[str, Any],
    *,
    path: Path | None = None,
    scratch: Path | None = None,
) -> PosteriorSet:
    """As `PosteriorSet.from_blocks` in the first process; the others keep no clip."""
    if jax.process_index() == 0:
        return PosteriorSet.from_blocks(blocks, path=path, scratch=scratch, **fields)
    empty: list[Block] = []
    for clip, frame in checked_blocks(blocks, fields["clip_ids"]):
        empty = empty or [(clip[:0], frame[:0])]  # views, that keep but the first block
    nobody: dict[str, Any] = {**fields, "clip_ids": ()}
    return PosteriorSet.from_blocks(empty, **nobody)


def _load(path: Path, split: Split) -> PosteriorSet | None:
    """The posteriors of a split in a file; None: they are to be computed again."""
    try:
        posteriors = PosteriorSet.load(path, may_be_renamed=False)
        if posteriors.clip_ids == tuple(split.clip_ids):
            return posteriors
        logging.warning("%s: of other clips: computed again", path)
    except DataError as error:
        logging.warning("%s: computed again", error)
    return None
