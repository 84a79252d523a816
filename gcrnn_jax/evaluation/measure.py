"""What a measure is: figures of recordings that count as often as they were drawn.

Every figure of a system is computed from weights of its recordings: all ones for the
figure itself, how often each was drawn for those of the bootstrap.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

Quantity = str  # what is measured and how, as "event_f1[onset 0.2 s, onsets only]"


class Scored(NamedTuple):
    """Figures of B draws; nan where one is not defined.

    Attributes:
        averages: Of a quantity and a kind of average ("micro", "macro" ...), [B].
        classes: Of a quantity, of each class, [B, K].
    """

    averages: Mapping[tuple[Quantity, str], np.ndarray]
    classes: Mapping[Quantity, np.ndarray]


class Measure(Protocol):
    """Some figures of one system on N recordings."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, the columns of `Scored.classes`."""
        ...

    @property
    def cost(self) -> int:
        """How many numbers are looked at for each draw."""
        ...

    @property
    def at_once(self) -> int:
        """How many of them are in memory at a time, for each draw."""
        ...

    def scores(self, weights: np.ndarray) -> Scored:
        """The figures where recordings count so often, [B, N], whole numbers."""
        ...


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """The mean of each row, [B] of [B, K], without what is nan; nan of nothing.

    Example:
        >>> mean_of_defined(np.array([[0.5, np.nan], [np.nan, np.nan]]))
        array([0.5, nan])
    """
    is_there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # infinite ones of both signs
        total, number = np.where(is_there, values, 0).sum(1), is_there.sum(1)
    return np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0)
