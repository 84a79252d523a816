"""Scores at every position of the page's threshold sliders, for the page to look up.

Two sliders set the tag and the event threshold, of all classes together or of one class
while the others keep those that the page begins with. Any other setting would need the
rules in the browser: `at_least_one_tag` and substitutions tie the classes to each
other, so no sum over classes gives its scores.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posterior_files import clips_in_block, take
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.tag_thresholds import TAG_STEPS
from gcrnn_jax.detection.thresholds import EVENT_STEPS
from gcrnn_jax.metrics.decisions import reference_segments, times_of_runs
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.segment import COUNTS, count_segments, error_rates
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates, tagging_scores

MAX_POSTERIORS = 6_000_000  # of frames, that events are scored on; a matter of time
MIN_CLIPS = 1000  # where there are so many classes that this is more
MAX_FIGURES = 500_000  # in a page, which stays one that can be sent

# name -> digits after the point; with two it is in percent
_TAGS = {"tag F1": 2, "precision": 2, "recall": 2}
_EVENTS = {"1-s F1": 2, "precision": 2, "recall": 2, "error rate": 3}
_SHARES = {"substitutions": 3, "deletions": 3, "insertions": 3}
_MEAN = {"mean of classes": 2}
FIGURES = {
    "all": {"tag": _TAGS | _MEAN, "event": _EVENTS | _MEAN | _SHARES},
    "one": {"tag": _TAGS, "event": _EVENTS},
}


def threshold_tables(
    posteriors: PosteriorSet, split: Split, postprocessing: Postprocessing
) -> dict[str, Any]:
    """Scores a system at all positions of the sliders.

    The page begins with the thresholds of the post-processing. Without strong labels
    there are no figures of events.

    Returns:
        Plain values. "values" are the thresholds along each slider, "start" those of
        each class at the beginning, which are one more position, the last.
        "tag" and "event" hold whole numbers, the printed FIGURES without their point,
        None where there is none: "all" [T][figures] and [T][E][figures], "one"
        [K][T][figures] and [K][T][E][figures] for T and E positions; T of events is 1
        where tags do not matter to them. "points" [K][T] are (precision, recall) of a
        class when it alone has the tag threshold.
    """
    names, clip = split.class_names, posteriors.clip
    step = grid_step(len(names))
    values = {"tag": TAG_STEPS[step - 1 :: step]}
    if split.events is not None:
        values["event"] = EVENT_STEPS[step - 1 :: step]
    clips = sample_clips(len(split), posteriors.frame[0].size)
    totals, ones, together, alone = [], [], [], []
    for rule in _positions(postprocessing, "tag", values["tag"]):
        for tags, scores, of_clips in (
            (rule.tags(clip), totals, together),
            (_tags_alone(clip, postprocessing, rule), ones, alone),
        ):
            scores.append(tagging_scores(split.weak_label, tags, None, names))
            of_clips.append(tags[clips])
    tables = {
        "values": values,
        "start": {kind: _thresholds(postprocessing, kind, names) for kind in values},
        "figures": FIGURES,
        "tag": {
            "all": [[*_rates(s.micro), _printed(s.macro_f1, 2)] for s in totals],
            "one": [[_rates(s.per_class[name].rates) for s in ones] for name in names],
        },
        "points": [[s.per_class[name].rates[:2] for s in ones] for name in names],
    }
    if split.events is not None:
        rules = _positions(postprocessing, "event", values["event"])
        of_tags = {"together": np.stack(together), "alone": np.stack(alone)}
        tables["event"] = _event_figures(posteriors, split, clips, rules, **of_tags)
    return tables


def ranking(clip: np.ndarray, postprocessing: Postprocessing) -> np.ndarray:
    """Posteriors [N, K] such that those over a class's threshold are its tags.

    A class that `at_least_one_tag` gives to a clip is a tag at any threshold of its
    own, while the other classes keep theirs: there it is above all posteriors.
    """
    never = dataclasses.replace(postprocessing, tag_threshold=1.0)
    return np.where(_tags_alone(clip, postprocessing, never), 2.0, clip)


def grid_step(num_classes: int) -> int:
    """The sliders have every so manyth threshold of the grids, for the page's size."""
    figures = num_classes * len(TAG_STEPS) * len(EVENT_STEPS) * len(_EVENTS)
    return min(len(EVENT_STEPS), math.ceil(math.sqrt(figures / MAX_FIGURES)))


def sample_clips(num_clips: int, posteriors_a_clip: int) -> np.ndarray:
    """The clips that events are scored on, ascending: all, or a fixed random part."""
    count = min(num_clips, max(MIN_CLIPS, MAX_POSTERIORS // posteriors_a_clip))
    return np.sort(np.random.default_rng(0).permutation(num_clips)[:count])


def _positions(
    start: Postprocessing, kind: str, values: Sequence[float]
) -> list[Postprocessing]:
    """With each of the values for all classes, and as it is."""
    changes: list[Any] = [{f"{kind}_threshold": value} for value in values]
    return [*(dataclasses.replace(start, **change) for change in changes), start]


def _thresholds(rule: Postprocessing, kind: str, names: Sequence[str]) -> list[float]:
    return np.broadcast_to(getattr(rule, f"{kind}_threshold"), len(names)).tolist()


def _tags_alone(
    clip: np.ndarray, start: Postprocessing, moved: Postprocessing
) -> np.ndarray:
    """Tags [N, K] of each class when it alone has the moved threshold."""
    is_over = clip > np.array(_thresholds(moved, "tag", clip[0]))
    if not start.at_least_one_tag:
        return is_over
    # where no other class is over its own threshold, the greatest is a tag anyway
    others = clip > np.array(_thresholds(start, "tag", clip[0]))
    is_alone = others.sum(1, keepdims=True) == others
    return is_over | (is_alone & _is_greatest(clip))


def _is_greatest(clip: np.ndarray) -> np.ndarray:
    """Where the first greatest posterior of each clip is, bool [N, K]."""
    is_greatest = np.zeros(clip.shape, bool)
    is_greatest[np.arange(len(clip)), clip.argmax(1)] = True
    return is_greatest


def _event_figures(
    posteriors: PosteriorSet,
    split: Split,
    clips: np.ndarray,  # int [n], that are looked at
    rules: Sequence[Postprocessing],  # one an event position
    *,
    together: np.ndarray,  # bool [tag positions, n, K]
    alone: np.ndarray,  # the same
) -> dict[str, list]:
    if not rules[0].require_clip_tag:
        together, alone = np.ones_like(together[:1]), np.ones_like(alone[:1])
    shape, num_classes = (len(rules), len(together)), len(split.class_names)
    totals = np.zeros((*shape, len(COUNTS)), int)
    of_together, of_alone = np.zeros((2, *shape, num_classes, 3), int)
    reference = reference_segments(posteriors, split, clips)
    size = clips_in_block(posteriors.frame)
    for some in (slice(n, n + size) for n in range(0, len(clips), size)):
        frames, of_some = take(posteriors.frame, clips[some]), reference[some]
        for e, rule in enumerate(rules):
            # A class without its tag loses all of its frames before the rules on runs,
            # so segments can be computed once for all tags.
            segments = _segments(frames, rule, posteriors, of_some.shape)
            totals[e] += [*_total_counts(together[:, some], segments, of_some)]
            of_together[e] += _class_counts(together[:, some], segments, of_some)
            of_alone[e] += _class_counts(alone[:, some], segments, of_some)
    every: list[list] = [[] for _ in together]
    one: list[list[list]] = [[[] for _ in alone] for _ in split.class_names]
    for e, t in np.ndindex(shape):
        class_f1 = [rates(*counts).f1 for counts in of_together[e, t].tolist()]
        every[t].append(_total_figures(totals[e, t], class_f1))
        for k, counts in enumerate(of_alone[e, t].tolist()):
            one[k][t].append(_class_figures(*counts))
    return {"all": every, "one": one}


def _segments(
    frames: np.ndarray,
    rule: Postprocessing,
    posteriors: PosteriorSet,
    shape: tuple[int, ...],  # [n, S, K]
) -> np.ndarray:
    """The seconds of the events of some clips, all with all tags: bool [n, S, K]."""
    is_wanted = np.ones((shape[0], shape[2]), bool)
    runs = rule.detect_runs(frames, is_wanted, posteriors.hop_s)
    events = times_of_runs(*runs, posteriors)
    return events.segments(0, (shape[0], shape[1], shape[2]))


def _class_counts(
    tags: np.ndarray, segments: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Hits, estimated and reference of every class at all tag positions, [T, K, 3]."""
    by_clip = (segments & reference).sum(1), segments.sum(1)  # [n, K]
    sums = [np.einsum("tnk,nk->tk", tags, counts, dtype=int) for counts in by_clip]
    sums.append(np.broadcast_to(reference.sum((0, 1)), sums[0].shape))
    return np.stack(sums, axis=-1)


def _total_counts(
    tags: np.ndarray, segments: np.ndarray, reference: np.ndarray
) -> Iterator[np.ndarray]:
    """Counts of all classes together at all tag positions, as COUNTS names them."""
    num_clips, length, num_classes = reference.shape
    by_clip, changed = np.zeros((num_clips, len(COUNTS)), int), np.ones(num_clips, bool)
    for t, now in enumerate(tags):
        if t:  # clips whose tags stay need not be counted again
            changed = (now != tags[t - 1]).any(1)
        estimated = segments[changed] & now[changed, None]
        both = [a.reshape(-1, num_classes) for a in (reference[changed], estimated)]
        by_clip[changed] = count_segments(*both).reshape(-1, length, len(COUNTS)).sum(1)
        yield by_clip.sum(0)


def _class_figures(hits: int, estimated: int, num_reference: int) -> list[int | None]:
    errors = estimated + num_reference - 2 * hits
    rate = _printed(ratio(errors, num_reference), 3)
    return [*_rates(rates(hits, estimated, num_reference)), rate]


def _total_figures(sums: np.ndarray, class_f1: list[float]) -> list[int | None]:
    counts = dict(zip(COUNTS, sums.tolist(), strict=True))
    error_rate, *shares = error_rates(sums).values()
    return [
        *_rates(rates(counts["Ntp"], counts["Nsys"], counts["Nref"])),
        _printed(error_rate, 3),
        _printed(mean_defined(class_f1), 2),
        *(_printed(share, 3) for share in shares),
    ]


def _rates(values: Rates) -> list[int | None]:
    """F1, precision and recall as they are printed."""
    return [_printed(v, 2) for v in (values.f1, values.precision, values.recall)]


def _printed(value: float, digits: int) -> int | None:
    """The digits that tables print, in percent if there are two after the point."""
    if math.isnan(value):
        return None
    return int(f"{100 * value if digits == 2 else value:.{digits}f}".replace(".", ""))
