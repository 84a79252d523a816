"""Members of an ensemble that were trained: fused, and scored side by side."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax

from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.metrics.evaluator import Row
from gcrnn_jax.runs.kept_posteriors import predict_fused
from gcrnn_jax.runs.run import Run
from gcrnn_jax.runs.scores import Predict, predict_averaged, score_each


class TrainedMember(NamedTuple):
    """A member of an ensemble that was trained.

    Attributes:
        run: Its own.
        store: Its features: of the same clips as those of the others.
        model: Compiled; it takes the weights of its epochs.
        averaged: Of averaged weights.
    """

    run: Run
    store: FeatureStore
    model: TrainedModel
    averaged: TrainedModel

    def predict_fused(self, split: Split) -> PosteriorSet:
        """The mean over its epochs for a split of the first member's store."""
        own = self.store.find_split(split.name)
        return predict_fused(self.run, self.run.config.fusion, own, self.model)

    def predict_averaged(self, split: Split) -> PosteriorSet:
        """The posteriors of averaged weights for a split of the first one's store."""
        own = self.store.find_split(split.name)
        return predict_averaged(self.run, self.averaged, own)


def score_members(run: Run, members: Sequence[TrainedMember]) -> list[Row]:
    """Scores the members of an ensemble and what is fused of them.

    Args:
        run: Of the ensemble.
        members: That were trained.

    Returns:
        As `score_systems`: each member's fused epochs; their mean; the mean of the
        members' averaged weights; all with their own thresholds; the constant answer.
    """
    systems = _systems_of_members(members)
    return score_each(run, members[0].store, systems, main=len(members))


def _systems_of_members(
    members: Sequence[TrainedMember],
) -> Iterator[tuple[str, Predict]]:
    for number, member in enumerate(members, start=1):
        yield f"member {number}", member.predict_fused
    scratch = members[0].run.folder / "posteriors"

    def fused(predictions: Sequence[Predict], split: Split) -> PosteriorSet:
        sets = [predict(split) for predict in predictions]
        if jax.process_index() > 0:  # which holds no clips
            return sets[0]
        return fuse_posteriors(sets, scratch=scratch)

    ways = {
        "fused": [member.predict_fused for member in members],
        "averaged, fused": [member.predict_averaged for member in members],
    }
    for way, predictions in ways.items():
        name = f"{len(members)} members {way}"
        yield name, functools.partial(fused, predictions)
