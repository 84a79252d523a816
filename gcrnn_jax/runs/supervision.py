"""What a loss learns of each training clip, and what is said of that beforehand."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from gcrnn_jax.config import Config
from gcrnn_jax.data.findings import MIN_CLIPS
from gcrnn_jax.data.label_index import row_blocks
from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK, Split
from gcrnn_jax.detection.frame_labels import FrameLabels
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.training.loss import Loss


def supervised(split: Split, loss: Loss, hop_s: float) -> Split:
    """The split with what the loss learns from: strong labels, and what is known.

    Clips with strong labels are weak ones to a loss that has no use for them.

    Args:
        split: To train on.
        loss: Of the configuration.
        hop_s: Seconds a frame of features.

    Raises:
        ConfigError: The loss has terms only of strong clips, of which there is none.
        DataError: The loss needs strong labels, of which there are none.
    """
    if loss.uses_strong_labels and split.events is None:
        raise DataError(f"{split.name} has no strong labels, which the loss needs")
    is_strong = split.events is not None and (split.kinds == STRONG).any()
    if loss.uses_strong_labels or (is_strong and loss.strong_weight):
        label = FrameLabels(
            split.clip_ids,
            split.events or {},
            split.frame_shape[0],
            hop_s,
            split.class_names,
        )
        return dataclasses.replace(split, known=split.kinds, strong_label=label)
    if not loss.clip_weight + loss.frame_weight > 0:
        raise ConfigError(
            "loss.clip_weight and loss.frame_weight are 0, and no training clip has "
            "strong labels: nothing to learn"
        )
    known = split.known
    if known is not None:
        known = np.minimum(known, WEAK)
    return dataclasses.replace(
        split, known=None if known is None or known.all() else known
    )


def class_shares(split: Split, counts: np.ndarray) -> np.ndarray:
    """The share of the labelled clips that has each class, float [K]."""
    if split.known is None:
        return counts / len(split)
    return counts / max(np.count_nonzero(split.known), 1)


def remarks(split: Split, counts: np.ndarray, config: Config) -> list[str]:
    """What should be known of the training clips before they are trained on.

    Args:
        split: As it was prepared.
        counts: int [K], clips of each class.
        config: Of the run.

    Returns:
        Sentences, and of several classes with few clips one aligned table.
    """
    names = np.array(split.class_names)
    texts = []
    if missing := names[counts == 0].tolist():
        texts.append(f"no training clip of {', '.join(missing)}: never learnt")
    num_unlabelled = 0
    if split.known is not None:
        num_unlabelled = np.count_nonzero(split.known == UNLABELLED)
    num_labelled = _count_labelled(split.weak_label)
    num_negative = len(split) - num_unlabelled - num_labelled
    texts += _few_clips(names, counts, num_labelled, config)
    sampling, loss = config.sampling, config.loss
    if num_negative and sampling.balanced and not sampling.negative_fraction:
        texts.append(
            f"{num_negative} training clips without a class are never drawn: "
            "sampling.negative_fraction is 0"
        )
    if num_unlabelled and not loss.consistency_weight:
        texts.append(
            f"{num_unlabelled} unlabelled training clips are not trained on: "
            "loss.consistency_weight is 0"
        )
    elif num_unlabelled and not sampling.unlabelled_fraction:
        texts.append(
            f"{num_unlabelled} unlabelled training clips are never drawn: "
            "sampling.unlabelled_fraction is 0"
        )
    num_strong = np.count_nonzero(split.kinds == STRONG)
    if num_strong and not loss.strong_weight and not loss.uses_strong_labels:
        texts.append(
            f"{num_strong} training clips with strong labels are trained on as weak "
            "ones: loss.strong_weight is 0"
        )
    return texts


def _few_clips(
    names: np.ndarray, counts: np.ndarray, num_labelled: int, config: Config
) -> list[str]:
    """Of classes with few clips, how often balancing will show these."""
    copies = config.data.copies  # of the same sounds
    sizes, num_labelled = -(-counts // copies), -(-num_labelled // copies)
    few = np.flatnonzero((counts > 0) & (sizes < MIN_CLIPS))
    if not few.size:
        return []
    if not config.sampling.balanced:
        listed = ", ".join(f"{names[k]} ({sizes[k]})" for k in few)
        what = f"fewer than {MIN_CLIPS} training clips"
        return [f"{what} of {listed}: hardly anything is learnt from so few"]
    weights = config.sampling.weights(sizes, num_labelled)
    repeats = weights / weights.sum() / np.maximum(sizes, 1) * num_labelled
    rows = [(str(names[k]), int(sizes[k]), f"{repeats[k]:.3g}") for k in few]
    if len(rows) == 1:
        [(name, count, times)] = rows
        clips = "1 training clip" if count == 1 else f"{count} training clips"
        return [
            f"{name}: {clips}; balancing will show each {times} times as often as the "
            "mean"
        ]
    return [_table(rows)]


def _table(rows: Sequence[tuple[str, int, str]]) -> str:
    """Classes, their clips and repeats, aligned."""
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {count:5}  {times:>7}" for name, count, times in rows]
    return "\n".join(
        [
            f"classes with fewer than {MIN_CLIPS} training clips, and how often "
            "balancing will show each, the mean clip being shown once:",
            f"{'class':<{width}}  clips  repeats",
            *lines,
        ]
    )


def _count_labelled(weak_label: np.ndarray) -> int:
    """How many clips of bool [N, K] have a class."""
    blocks = row_blocks(weak_label)
    return sum(int(np.count_nonzero(block.any(axis=1))) for _, block in blocks)
