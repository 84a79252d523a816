"""Selects the decisions that a page shows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.metrics.evaluator import Row

PER_CLASS = {"false alarm": 3, "miss": 3, "hit": 1}  # examples of each kind
MAX_CLIPS = 40


class Example(NamedTuple):
    """One decision on one class of one clip."""

    kind: str  # of PER_CLASS
    clip: int  # its row in the split
    class_index: int
    posterior: float


@dataclass(frozen=True)
class ExampleSelection:
    """The examples of a page, and how many there are of each kind in all."""

    examples: list[Example]  # worst first
    clips: np.ndarray  # int [n], ascending; those of the examples, each once
    num_examples: dict[str, int]

    def select(self, split: Split) -> Split:
        """The clips of the examples as a split."""
        return split.part("examples", self.clips)


def select_examples(row: Row, split: Split) -> ExampleSelection:
    """The worst false alarms and misses of every class, then its surest hits.

    False alarms are worst with the greatest posterior, misses with the least. All
    classes get their worst before one gets its second; `MAX_CLIPS` clips are shown at
    most, so that the page can be sent.
    """
    tags, label = row.decisions.tags, split.weak_label.astype(bool)
    posterior = row.posteriors.clip
    kinds = {
        "false alarm": (tags & ~label, -posterior),
        "miss": (~tags & label, posterior),
        "hit": (tags & label, -posterior),
    }
    ranked: list[tuple[int, Example]] = []
    for kind, (is_one, order) in kinds.items():
        for k in range(label.shape[1]):
            rows = np.flatnonzero(is_one[:, k])
            worst = rows[np.argsort(order[rows, k], kind="stable")][: PER_CLASS[kind]]
            found = [Example(kind, int(n), k, float(posterior[n, k])) for n in worst]
            ranked += enumerate(found)
    clips: set[int] = set()
    examples = []
    for _, example in sorted(ranked, key=lambda item: item[0]):  # kinds stay in order
        if example.clip in clips or len(clips) < MAX_CLIPS:
            clips.add(example.clip)
            examples.append(example)
    totals = {kind: int(is_one.sum()) for kind, (is_one, _) in kinds.items()}
    return ExampleSelection(examples, np.array(sorted(clips), int), totals)
