"""How sure a figure is: its value, and the interval that drawn recordings give it."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FEW = 100  # of which fewer make intervals too narrow


class Interval(NamedTuple):
    """A range of scores, both ends included; nan where no draw has a score."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A score on all clips, or the difference of two systems' scores, and its range."""

    value: float
    interval: Interval

    @property
    def is_significant(self) -> bool:
        """Whether the interval of a difference excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Figure:
    """One figure of a system, or how it differs from another system's.

    Attributes:
        quantity: What is measured and how.
        average: Over what, as "micro".
        estimate: nan ends where no draw has it, or all draws have the same.
        num_draws: Of its interval.
        classes: The quantity of every class; {}: it is not of classes, or they are in
            the figure of another average.
        p_value: Of a difference, by the permutation test; None: it was not tested.
    """

    quantity: str
    average: str
    estimate: Estimate
    num_draws: int
    classes: dict[str, Estimate]
    p_value: float | None = None


def interval_of(scores: np.ndarray) -> Interval:
    """The middle 95 % of the scores of draws, [R], that are finite."""
    defined = scores[np.isfinite(scores)]
    if not defined.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high))


def estimate_of(value: float, drawn: np.ndarray, *, least: float = 0.0) -> Estimate:
    """The middle 95 % of the draws, moved so that their mean is the figure itself.

    Within [least, 1] where all of it is: of a difference least is -1. Draws that are
    all the same say nothing of other recordings: no interval, not [1, 1].

    Example:
        >>> estimate_of(0.5, np.array([0.4, 0.5, 0.6])).interval
        Interval(low=0.405, high=0.595)
        >>> estimate_of(1.0, np.ones(1000)).interval
        Interval(low=nan, high=nan)
    """
    interval = interval_of(drawn)
    if not interval.low < interval.high or not math.isfinite(value):
        return Estimate(float(value), Interval(math.nan, math.nan))
    finite = drawn[np.isfinite(drawn)]
    low, high = (end - float(finite.mean()) + value for end in interval)
    if min(finite.min(), value) >= least:
        low = max(low, least)
    if max(finite.max(), value) <= 1:
        high = min(high, 1.0)
    return Estimate(float(value), Interval(float(low), float(high)))


def few_note(number: int) -> str:
    """What intervals of so many recordings, or groups of them, are worth; "": enough.

    Example:
        >>> few_note(100), few_note(30)[:12]
        ('', 'only 30: int')
    """
    if number >= FEW:
        return ""
    return (
        f"only {number}: intervals are too narrow (at 30 they hold the truth in 88 to "
        "92 % of cases, not 95)"
    )
