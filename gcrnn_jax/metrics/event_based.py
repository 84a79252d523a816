"""Event-based scores, as sed_eval computes them: events found within collars.

An estimated event is correct if a reference event of its label begins within the onset
collar and ends within the offset collar, the larger of a time and a share of the
reference event's length. Each event is in one pair at most. A missed and a false event
of two labels that lie within the collars of each other are one substitution:

    error rate = (substitutions + deletions + insertions) / reference events

Source: Mesaros, Heittola, Virtanen, "Metrics for polyphonic sound event detection",
2016; sed_eval 0.2.1, `EventBasedMetrics`.
Differs: where sed_eval has nan for the F1 of a class, or of a system, that estimates
nothing, F1 is 0 here; its averages over classes skip such classes, and are given beside
under names ending in `_sed_eval`. Error rates without any reference are nan here,
errors divided by 2.2e-16 there. Files are matched by name here, which sed_eval does not
look at. `0 0 label` rows, which `events_by_file` leaves out, are no misses here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.matching import greedy_matching, optimal_matching
from gcrnn_jax.metrics.metric import ratio, sed_eval_error_rate
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates

_SLACK_S = 0.01  # over rounding, where onsets are looked up before they are compared
_MATCHINGS = {"optimal": optimal_matching, "greedy": greedy_matching}


@dataclass(frozen=True)
class Collars:
    """How far an estimated event may be from the reference event that it answers.

    Attributes:
        onset_s: Largest difference of the onsets, in seconds, itself allowed.
        offset_s: The same of the offsets; None: they are not compared (onset only).
        offset_share: Of the reference event's length; allowed if more than `offset_s`.
        time_decimals: Differences are rounded to so many decimals of a second, as
            sed_scores_eval does with 6. None: as they are in float64, as sed_eval does,
            where 0.3 - 0.1 is within 0.2 and 0.5 - 0.3 is too, but 1.1 - 0.9 is not.
    """

    onset_s: float = 0.2
    offset_s: float | None = 0.2
    offset_share: float = 0.2
    time_decimals: int | None = None

    def __post_init__(self) -> None:
        for name in ("onset_s", "offset_s", "offset_share"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise DataError(f"Collars: expected {name} of 0 or more, got {value}")

    def pairs(self, reference: np.ndarray, estimated: np.ndarray) -> np.ndarray:
        """Which events are within the collars of each other.

        From onsets and offsets in seconds, [R, 2] and [E, 2]. Only events whose onsets
        are near are compared, so that long lists cost little more than their pairs.

        Returns:
            int [P, 2], indices r and e, rising.

        Example:
            >>> times = np.array([[0.3, 2.0]]), np.array([[0.1, 2.0], [0.3, 2.6]])
            >>> Collars().pairs(*times).tolist()
            [[0, 0]]
            >>> Collars(offset_share=0.5).pairs(*times).tolist()
            [[0, 0], [0, 1]]
        """
        order = np.argsort(estimated[:, 0])
        onsets, reach = estimated[order, 0], self.onset_s + _SLACK_S
        first = np.searchsorted(onsets, reference[:, 0] - reach, "left")
        end = np.searchsorted(onsets, reference[:, 0] + reach, "right")
        number = end - first
        r = np.repeat(np.arange(len(reference)), number)
        starts = np.repeat(first - np.cumsum(number) + number, number)
        e = order[starts + np.arange(len(r))]
        ours, theirs = reference[r], estimated[e]
        is_near = self._is_within(ours[:, 0] - theirs[:, 0], self.onset_s)
        if self.offset_s is not None:
            length_s = ours[:, 1] - ours[:, 0]
            collar = np.maximum(self.offset_s, self.offset_share * length_s)
            is_near &= self._is_within(ours[:, 1] - theirs[:, 1], collar)
        found = np.stack([r, e], 1)[is_near]
        return found[np.lexsort((found[:, 1], found[:, 0]))]

    def _is_within(
        self, distance: np.ndarray, collar: float | np.ndarray
    ) -> np.ndarray:
        if self.time_decimals is None:
            return np.abs(distance) <= collar
        return np.round(np.abs(distance) - collar, self.time_decimals) <= 0


@dataclass(frozen=True)
class ClassEvents:
    """The score of one class; there are no substitutions within a class."""

    rates: Rates
    true_positives: int
    num_estimated: int
    num_reference: int

    @property
    def deletion_rate(self) -> float:
        """Missed events for each reference event; nan without one."""
        return ratio(self.num_reference - self.true_positives, self.num_reference)

    @property
    def insertion_rate(self) -> float:
        """False events for each reference event; nan without one."""
        return ratio(self.num_estimated - self.true_positives, self.num_reference)

    @property
    def error_rate(self) -> float:
        """Deletions and insertions for each reference event; nan without one."""
        return self.deletion_rate + self.insertion_rate

    @property
    def rates_sed_eval(self) -> Rates:
        """As sed_eval prints them: F1 is nan for a class never estimated, or absent."""
        defined = self.num_estimated and self.num_reference
        return self.rates if defined else self.rates._replace(f1=float("nan"))

    @property
    def error_rate_sed_eval(self) -> float:
        """The error rate that sed_eval prints: immense or 0 without a reference."""
        counts = self.true_positives, self.num_estimated, self.num_reference
        return sed_eval_error_rate(*counts)


@dataclass(frozen=True)
class EventScores:
    """Event-based scores: micro over all events, and macro over classes."""

    micro: Rates
    error_rate: float
    substitution_rate: float
    deletion_rate: float
    insertion_rate: float
    macro_f1: float  # mean over classes, 0 for a class never estimated
    macro_error_rate: float  # mean over the classes that the reference has
    macro_sed_eval: Rates  # each the mean over the classes where sed_eval has it
    macro_error_rate_sed_eval: float  # of all classes, 0 for one without any event
    per_class: dict[str, ClassEvents]
    num_clips: int


def event_scores(
    reference: Mapping[str, Sequence[Event]],
    estimated: Mapping[str, Sequence[Event]],
    class_names: Sequence[str] | None = None,
    *,
    collars: Collars | None = None,
    matching: Literal["optimal", "greedy"] = "optimal",
) -> EventScores:
    """Scores events by their onsets and offsets.

    The files are those of the reference: a file without an estimate is missed whole,
    an estimate for another file is ignored. Events of one class may overlap, and lists
    may be empty.

    Args:
        reference: Events of every file, from `events_by_file`; `[]` counts as a clip.
        estimated: The system's events.
        class_names: K names. None: those in the two lists, sorted.
        collars: None: 0.2 s for onsets, the larger of 0.2 s and 20 % for offsets, as
            the field reports since 2018. sed_eval's own default is 50 %.
        matching: "optimal", as many pairs as possible, or "greedy", each reference
            event in turn; both are of sed_eval, the first is its default.

    Raises:
        DataError: A label is not among `class_names`, or there is no such matching.

    Example:
        >>> reference = {"a.wav": [Event(0.0, 1.0, "Car"), Event(2.0, 4.0, "Bus")]}
        >>> estimated = {"a.wav": [Event(0.1, 1.2, "Car"), Event(2.1, 4.3, "Tram")]}
        >>> scores = event_scores(reference, estimated)
        >>> scores.micro.f1, scores.error_rate, scores.substitution_rate
        (0.5, 0.5, 0.5)
        >>> [round(f1, 3) for f1 in (scores.macro_f1, scores.macro_sed_eval.f1)]
        [0.333, 1.0]
    """
    check_matching(matching)
    if class_names is None:
        class_names = names_in(reference, estimated)
    column = {name: k for k, name in enumerate(class_names)}
    collars = collars or Collars()
    counts = np.zeros((3, len(column)), int)  # true positives, estimated, reference
    substitutions = 0
    for file, events in reference.items():
        both = events, estimated.get(file, ())
        found = count_events(file, *both, column, collars=collars, matching=matching)
        for row, codes in zip(counts, found, strict=False):
            np.add.at(row, codes, 1)
        substitutions += found.substitutions
    return _scores(counts, substitutions, class_names, len(reference))


class FileEvents(NamedTuple):
    """Events of one recording: the classes, as numbers, of those right, and of all."""

    right: np.ndarray  # int [H]
    estimated: np.ndarray  # int [E]
    reference: np.ndarray  # int [R]
    substitutions: int


def count_events(
    file: str,
    events: Sequence[Event],
    others: Sequence[Event],
    column: Mapping[str, int],
    *,
    collars: Collars,
    matching: Literal["optimal", "greedy"],
) -> FileEvents:
    """Counts one recording: reference events, estimated ones, numbers of classes.

    Raises:
        DataError: A label is not among the classes.
    """
    there, found = _codes(file, events, column), _codes(file, others, column)
    if not events or not others:
        return FileEvents(there[:0], found, there, 0)
    near = collars.pairs(_times(events), _times(others))
    pairs = _MATCHINGS[matching](near[there[near[:, 0]] == found[near[:, 1]]])
    is_left = [np.ones(len(codes), bool) for codes in (there, found)]
    is_left[0][list(pairs)] = is_left[1][list(pairs.values())] = False
    left = near[is_left[0][near[:, 0]] & is_left[1][near[:, 1]]]
    return FileEvents(there[list(pairs)], found, there, len(greedy_matching(left)))


def check_matching(matching: str) -> None:
    """Raises DataError for a matching that there is not."""
    if matching not in _MATCHINGS:
        expected = " or ".join(map(repr, _MATCHINGS))
        raise DataError(f"matching: expected {expected}, got {matching!r}")


def names_in(*lists: Mapping[str, Sequence[Event]]) -> list[str]:
    """The labels of lists, sorted; of the files that the first of them has.

    Example:
        >>> names_in({"a": [Event(0, 1, "B")]}, {"a": [Event(0, 1, "A")], "b": []})
        ['A', 'B']
    """
    there = [
        events for one in lists for file in lists[0] for events in one.get(file, ())
    ]
    return sorted({event.event_label for event in there})


def _codes(file: str, events: Sequence[Event], column: Mapping[str, int]) -> np.ndarray:
    try:
        return np.array([column[event.event_label] for event in events], int)
    except KeyError as error:
        raise DataError(f"{file}: {error.args[0]!r} is not among the classes") from None


def _times(events: Sequence[Event]) -> np.ndarray:
    return np.array([event[:2] for event in events], float).reshape(-1, 2)


def _scores(
    counts: np.ndarray, substitutions: int, class_names: Sequence[str], num_clips: int
) -> EventScores:
    hits, estimated, reference = counts.sum(1).tolist()
    kinds = {
        "substitution_rate": substitutions,
        "deletion_rate": reference - hits - substitutions,
        "insertion_rate": estimated - hits - substitutions,
    }
    per_class = {
        name: ClassEvents(rates(*of_class), *of_class)
        for name, of_class in zip(class_names, counts.T.tolist(), strict=True)
    }
    classes = per_class.values()
    return EventScores(
        micro=rates(hits, estimated, reference),
        error_rate=ratio(sum(kinds.values()), reference),
        **{name: ratio(count, reference) for name, count in kinds.items()},
        macro_f1=mean_defined(c.rates.f1 for c in classes),
        macro_error_rate=mean_defined(c.error_rate for c in classes),
        macro_sed_eval=Rates(
            *map(mean_defined, zip(*(c.rates_sed_eval for c in classes), strict=True))
        )
        if per_class
        else Rates(*[float("nan")] * 3),
        macro_error_rate_sed_eval=mean_defined(c.error_rate_sed_eval for c in classes),
        per_class=per_class,
        num_clips=num_clips,
    )
