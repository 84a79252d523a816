"""Labels with times, as tools for annotation write them beside recordings."""

from collections.abc import Iterable
from typing import NamedTuple

from gcrnn_jax.data.lists.event_lists import seconds
from gcrnn_jax.data.lists.text import BadRow, BadTime


class TimedLabel(NamedTuple):
    """A label in [onset, offset) seconds of a recording; both the same: of a point."""

    recording: str  # as it is written, a name or a path; "" where it is not said
    onset: float
    offset: float
    label: str
    score: float | None  # in [0, 1]; None: not said
    line: int  # 1 is the first


def has_decimal_comma(times: Iterable[str]) -> bool:
    """Whether the times of a file are written as 2,5: with commas and no point.

    Example:
        >>> has_decimal_comma(["2", "2,5"]), has_decimal_comma(["1,234", "2.5"])
        (True, False)
    """
    marks = {mark for time in times for mark in ",." if mark in time}
    return marks == {","}


def time_span(onset: str, offset: str, has_comma: bool) -> tuple[float, float]:
    """Reads the two times of a label, in seconds.

    Args:
        onset: As it is written.
        offset: As it is written.
        has_comma: Whether the decimal mark is a comma.

    Raises:
        BadTime: One is no time, or the offset is before the onset.
    """
    if has_comma:
        onset, offset = onset.replace(",", "."), offset.replace(",", ".")
    start, end = seconds(onset), seconds(offset)
    if start > end:
        raise BadTime(f"expected onset <= offset, got {start:g} > {end:g}")
    return start, end


def score_of(text: str, has_comma: bool) -> float | None:
    """Reads a score, None where there is none.

    Raises:
        BadRow: It is no number from 0 to 1.
    """
    if not text:
        return None
    try:
        score = float(text.replace(",", ".") if has_comma else text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise BadRow(f"expected a score from 0 to 1, got {text!r}")
    return score
