"""What a metric is: named scores of decisions, most of them of counts clip by clip.

One file adds a metric: it holds a subclass of `Metric`, of which an instance is listed
in `METRICS` of scoring.py. Tables, JSON, intervals, the log of epochs, reports and
benchmarks loop over that list.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from gcrnn_jax.data.lists.event_lists import EventRow
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions
from gcrnn_jax.metrics.tables import percent, text_table

MICRO, MACRO = "overall (micro)", "mean of classes"  # rows below those of the classes
_SED_EVAL_EPS = float(np.spacing(1))  # sed_eval adds it to every denominator of a rate


@dataclass(frozen=True)
class Column:
    """One score of a metric.

    Attributes:
        role: "headline" scores are in the line that a run prints each epoch, they and
            "main" ones are logged each epoch and compared between systems, "side" ones
            have an interval, "detail" ones are in the table of systems alone.
        is_summed: Whether it is computed from the sums of `Metric.counts`. Others, as
            those of ranks, are scored on the whole set; an interval they have only if
            they are figures of `gcrnn_jax.evaluation.labelled`.
    """

    key: str  # in JSON; no other column has it
    heading: str  # in tables
    form: Literal["percent", "number"] = "percent"  # of a ratio, or three decimals
    role: Literal["headline", "main", "side", "detail"] = "side"
    is_summed: bool = True
    log_key: str = ""  # in scores.jsonl; "": as `key`

    @property
    def has_interval(self) -> bool:
        """Whether the bootstrap draws clips for it."""
        return self.is_summed and self.role != "detail"

    @property
    def is_main(self) -> bool:
        """Whether it is logged each epoch and compared between systems."""
        return self.role in ("headline", "main")

    def text(self, value: float) -> str:
        """A value as the table of systems prints it; `-` for nan."""
        if self.form == "percent" or math.isnan(value):
            return percent(value)
        return f"{value:.3f}"

    def short_text(self, value: float, sign: str = "") -> str:
        """A value beside its interval, with a decimal less in percent."""
        is_percent = self.form == "percent"
        return f"{100 * value:{sign}.1f}" if is_percent else f"{value:{sign}.3f}"


class Metric:
    """Scores of decisions on a split; a subclass says what it counts and computes.

    Detection needs strong labels; it is left out where a split has none.
    """

    name: ClassVar[str]  # in JSON
    task: ClassVar[Literal["tagging", "detection"]]
    columns: ClassVar[tuple[Column, ...]]
    reference_counts: ClassVar[Sequence[int]] = []  # those that no system changes
    class_header: ClassVar[tuple[str, ...]] = ()  # of `class_cells`

    def counts(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> np.ndarray:
        """What scores are computed from when summed over clips, int [N, C]."""
        return np.zeros((len(split), 0), int)

    def scores(self, sums: np.ndarray) -> dict[str, Any]:
        """The summed columns by key, [...], nan if undefined, from sums [..., C]."""
        return {}

    def details(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> Any:
        """All that JSON holds; unless overridden the summed columns by key."""
        return self.scores(self.counts(decisions, posteriors, split).sum(0))

    def values(self, details: Any) -> dict[str, float]:
        """Every column by key, from the details."""
        return {column.key: float(details[column.key]) for column in self.columns}

    def class_cells(self, details: Any) -> dict[str, Sequence[object]]:
        """Cells of each class in order, and of `MICRO` and `MACRO`; {}: no table."""
        return {}

    def list_details(
        self, reference: Sequence[EventRow], estimated: Sequence[EventRow]
    ) -> Any:
        """The details for lists of any system; None: it does not score lists."""
        return None

    def list_tables(self, details: Any) -> list[str]:
        """Texts and tables of `list_details`."""
        values = self.values(details)
        header = [column.heading for column in self.columns]
        cells = [column.text(values[column.key]) for column in self.columns]
        return [text_table(["", *header], [[self.name, *cells]])]


def class_rows(
    scores: Any, last: Callable[[Any], str], averages: Sequence[str]
) -> dict[str, Sequence[object]]:
    """`Metric.class_cells` of scores with `per_class`, `micro` and `macro_f1`.

    `last` gives the last cell of a class, `averages` are those of `MICRO` and `MACRO`.
    """
    names = ("f1", "precision", "recall")
    rows: dict[str, Sequence[object]] = {
        name: [one.num_reference, *one.rates.percents(*names), last(one)]
        for name, one in scores.per_class.items()
    }
    rows[MICRO] = ["", *scores.micro.percents(*names), averages[0]]
    rows[MACRO] = ["", percent(scores.macro_f1), "", "", averages[1]]
    return rows


def ratio(count: Any, total: Any) -> Any:
    """The quotient of two numbers or arrays, nan where the total is 0.

    Example:
        >>> ratio(1, 4), ratio(1, 0)
        (0.25, nan)
    """
    if isinstance(count, int) and isinstance(total, int):  # pages need 500,000 of them
        return count / total if total > 0 else math.nan
    quotient = np.full(np.broadcast_shapes(np.shape(count), np.shape(total)), np.nan)
    np.divide(count, total, out=quotient, where=np.greater(total, 0))
    return quotient if quotient.ndim else quotient.item()


def sed_eval_error_rate(
    true_positives: int, num_estimated: int, num_reference: int
) -> float:
    """A class's error rate as sed_eval prints it: immense or 0 without a reference."""
    errors = num_estimated + num_reference - 2 * true_positives
    return errors / (num_reference + _SED_EVAL_EPS)
