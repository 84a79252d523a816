"""Long recordings -> clips, and their events cut along.

    recording   |---------------------------------------|  25 s
    clips       [0, 10)         [10, 20)        [20, 25)    of 10 s, 10 s apart
    event                    [8 ... 12)
    in clips            [8, 10)  [0, 2)                     in both, in their own time

Every second of a recording is in a clip. The last clip is as long as what is left; if
that is less than a tenth of a clip, too short to recognise a class in, it begins so
much earlier that it is a tenth. What is left by `TOLERANCE_S` or less is no clip: a
recording of ten seconds is often some milliseconds longer after another codec.
"""

import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TOLERANCE_S = 0.1
MIN_PART_S = 0.05  # less of an event, which a border cuts off, cannot be recognised
_MIN_CLIP = 0.1  # of a clip: the least that the last one is


def cut(start_s: float, end_s: float, clip_s: float, hop_s: float) -> list[float]:
    """Returns where the clips begin that a stretch becomes, in seconds.

    The last one ends with the stretch, the others after `clip_s`. A stretch of at most
    `clip_s` and the tolerance is one clip.

    Args:
        start_s: Of the stretch.
        end_s: Its end.
        clip_s: Of the clips.
        hop_s: From the start of one to that of the next, at most `clip_s`.

    Example:
        >>> cut(0.0, 25.0, clip_s=10.0, hop_s=10.0)
        [0.0, 10.0, 20.0]
        >>> cut(0.0, 20.25, clip_s=10.0, hop_s=5.0)
        [0.0, 5.0, 10.0, 15.0]
        >>> cut(5.0, 15.5, clip_s=10.0, hop_s=10.0), cut(5.0, 15.05, 10.0, 10.0)
        ([5.0, 14.5], [5.0])
    """
    starts, last = [start_s], max(start_s, end_s - _MIN_CLIP * clip_s)
    while starts[-1] + clip_s + TOLERANCE_S < end_s:
        starts.append(min(start_s + len(starts) * hop_s, last))
    return starts


def spans(
    start_s: float, end_s: float, clip_s: float, hop_s: float
) -> list[tuple[float, float]]:
    """Returns the clips that a stretch becomes, in seconds to the millisecond."""
    starts = cut(start_s, end_s, clip_s, hop_s)
    ends = [*(start + clip_s for start in starts[:-1]), end_s]
    return [
        (round(start, 3), round(end, 3))
        for start, end in zip(starts, ends, strict=True)
    ]


class Part(NamedTuple):
    """What of an event is in a clip."""

    clip: int  # which of the clips
    onset: float  # in seconds of the clip
    offset: float


class Borders:
    """The clips of one recording, into which its events are cut."""

    def __init__(self, spans: Sequence[tuple[float, float]]):
        """Of stretches of the recording in seconds, in any order."""
        self._order = sorted(range(len(spans)), key=lambda index: spans[index])
        self._spans = [spans[index] for index in self._order]
        self._starts = [start for start, _ in self._spans]
        self._longest = max((end - start for start, end in spans), default=0.0)

    def parts(self, onset: float, offset: float) -> list[Part]:
        """Returns what of an event is in which clips, by their starts.

        A part of less than `MIN_PART_S` that a border has cut off is left out, unless
        it is half of the event or more. An event of no length is in the clips that hold
        its onset.

        Example:
            >>> borders = Borders([(0.0, 10.0), (10.0, 20.0)])
            >>> borders.parts(8.0, 12.0)
            [Part(clip=0, onset=8.0, offset=10.0), Part(clip=1, onset=0.0, offset=2.0)]
            >>> borders.parts(9.96, 12.0), borders.parts(21.0, 22.0)
            ([Part(clip=1, onset=0.0, offset=2.0)], [])
        """
        least = min(MIN_PART_S, 0.5 * (offset - onset))
        parts = []
        for place, start, end in self._near(onset, offset):
            first, last = max(onset, start), min(offset, end)
            is_there = first < last or onset == offset < end
            if is_there and last - first >= least:
                times = round(first - start, 6), round(last - start, 6)
                parts.append(Part(self._order[place], *times))
        return parts

    def _near(self, onset: float, offset: float) -> Iterator[tuple[int, float, float]]:
        """The clips that may hold something of an event, and where they are."""
        first = bisect.bisect_left(self._starts, onset - self._longest)
        for place in range(first, len(self._spans)):
            start, end = self._spans[place]
            if start > offset:
                return
            yield place, start, end
