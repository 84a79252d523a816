"""Tables of what was found, as every command writes them: events.csv and tags.csv.

Commas separate, the first line is `EVENT_COLUMNS`, times are in seconds. CSV quotes
what it must, so that every name is exactly that of the file. What reads event lists
(`event_lists`) reads these tables too.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.data.lists.event_lists import Event

EVENT_COLUMNS = (
    "filename",
    "onset",
    "offset",
    "event_label",
    "score",
    # that a window (of a tag) or a frame (of an event) of this score has the class, as
    # labels of other clips say; empty where none do
    "probability",
)
_MIN_DECIMALS = 3  # of times


class ScoredEvent(NamedTuple):
    """A tag or an event; `score` is the maximum of the posterior in it."""

    onset: float
    offset: float
    event_label: str
    score: float

    @property
    def event(self) -> Event:
        """Without its score."""
        return Event(*self[:3])


def event_cells(filename: str, event: Sequence[Any]) -> tuple[str, ...]:
    """A row of the table, of a `ScoredEvent` and maybe its probability.

    Times are to the microsecond, as they are decoded: what is scored from the table
    has the score of what was decoded.

    Example:
        >>> event_cells("a.wav", (0.5, 4.958333, "Car", 0.87654))
        ('a.wav', '0.500', '4.958333', 'Car', '0.8765', '')
    """
    onset, offset, event_label, score, *probability = event
    times = _time_text(onset), _time_text(offset)
    known = "" if probability in ([], [None]) else f"{probability[0]:.4f}"
    return filename, *times, event_label, f"{score:.4f}", known


def write_event_table(
    path: str | Path, events_by_file: Mapping[str, Sequence[Sequence[Any]]]
) -> None:
    """Writes the events or tags of clips, whole or not at all.

    A clip without any has a row of its name alone, whose other cells are empty: it was
    looked at, and scores that count the clips of a list count it.

    Args:
        path: Where to; folders on the way are made, an older table is replaced.
        events_by_file: Of every clip, as of `event_cells`; `[]` for a clip without.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    nothing = [""] * (len(EVENT_COLUMNS) - 1)
    rows: list[Sequence[str]] = [EVENT_COLUMNS]
    for file, events in events_by_file.items():
        rows += [event_cells(file, event) for event in events] or [(file, *nothing)]
    write_text(path, csv_text(rows))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV; what holds a comma, a quote or a line end is quoted."""
    return "".join(",".join(map(_csv_field, row)) + "\n" for row in rows)


def _csv_field(text: str) -> str:
    return (
        f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set(',"\r\n') else text
    )


def _time_text(seconds: float) -> str:
    """Seconds with six decimals, but for zeros beyond the third."""
    whole, decimals = f"{seconds:.6f}".split(".")
    return f"{whole}.{decimals.rstrip('0').ljust(_MIN_DECIMALS, '0')}"
