"""Recordings -> splits, where a folder states none.

By a hash of their names, in every class by itself: the same names are always divided
alike, on every machine, and a recording more moves hardly any other.

Source: the order of classes is that of iterative stratification (Sechidis et al., On
    the Stratification of Multi-Label Data, 2011).
Differs: There one example after the other is given away, so that each depends on all
    before it; here all examples of a class at once, in order of their hashes.
"""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

_TIMED = re.compile(r"(.+)_\d+\.\d{3}_\d+\.\d{3}")
# of a video, by its eleven letters: milliseconds, or seconds of start and end
_SEGMENT = re.compile(r"((?:.*/)?Y?[\w-]{11})_(?:0|\d{1,4}000|(\d{1,5})_(\d{1,5}))")


def source_of(name: str) -> str:
    """What a recording was cut from, by its name: its clips stay together.

    Example:
        >>> source_of("audio/abc_10.000_20.000"), source_of("s9d-2nhuJCQ_30000")
        ('audio/abc', 's9d-2nhuJCQ')
        >>> source_of("SITE_20260304_101500"), source_of("recording01_17")
        ('SITE_20260304_101500', 'recording01_17')
    """
    if match := _TIMED.fullmatch(name):
        return match[1]
    match = _SEGMENT.fullmatch(name)
    if match is None or (match[2] and not 0 < int(match[3]) - int(match[2]) <= 10):
        return name
    return match[1]


def divide(
    labels: Mapping[str, Collection[int]], fractions: Sequence[float], seed: int
) -> dict[str, int]:
    """Divides names into parts in which all classes are as frequent as in the whole.

    Args:
        labels: Name -> its classes; none is a class of its own.
        fractions: Of the names, one a part; their sum counts as the whole.
        seed: Of the hash.

    Returns:
        Name -> part, from 0. Where there are as many names as parts, each that has a
        fraction has a name.

    Example:
        >>> parts = divide({f"{i}.wav": [i % 2] for i in range(20)}, (0.7, 0.3), seed=0)
        >>> sorted(Counter((i % 2, parts[f"{i}.wav"]) for i in range(20)).items())
        [((0, 0), 7), ((0, 1), 3), ((1, 0), 7), ((1, 1), 3)]
    """
    shares = [fraction / sum(fractions) for fraction in fractions]
    order = sorted(labels, key=lambda name: _hash(name, seed))
    classes = {name: tuple(labels[name]) or (-1,) for name in order}
    waiting: dict[int, dict[str, None]] = {}
    for name in order:
        for k in classes[name]:
            waiting.setdefault(k, {})[name] = None
    totals = {k: len(names) for k, names in waiting.items()}
    given: dict[int, list[int]] = {k: [0] * len(shares) for k in waiting}
    parts: dict[str, int] = {}
    queue = [(count, k) for k, count in totals.items()]
    heapq.heapify(queue)
    while queue:  # the class of which the fewest names are left
        count, k = heapq.heappop(queue)
        names = [*waiting[k]]
        if count != len(names):
            heapq.heappush(queue, (len(names), k))
        if count != len(names) or not names:
            continue
        wanted = [
            max(0.0, share * totals[k] - has)
            for share, has in zip(shares, given[k], strict=True)
        ]
        for part, size in enumerate(_whole(wanted, len(names), backwards=k % 2 == 0)):
            for name in names[:size]:
                parts[name] = part
                for other in classes[name]:
                    given[other][part] += 1
                    del waiting[other][name]
            names = names[size:]
    return _without_empty(parts, shares)


def _hash(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()


def _whole(wanted: Sequence[float], total: int, backwards: bool) -> list[int]:
    """Whole numbers in proportion to those wanted, the largest remainders rounded up.

    Of equal ones the last or the first, in turn by class, or validation would get
    what testing lacks.
    """
    scale = total / sum(wanted)
    exact = [round(value * scale, 9) for value in wanted]
    sizes = [int(value) for value in exact]
    order = range(len(exact))[:: -1 if backwards else 1]
    by_rest = sorted(order, key=lambda i: round(sizes[i] - exact[i], 9))
    for index in by_rest[: total - sum(sizes)]:
        sizes[index] += 1
    return sizes


def _without_empty(parts: dict[str, int], shares: Sequence[float]) -> dict[str, int]:
    """Gives a part without a name the last one of the part that has the most."""
    counts = Counter(parts.values())
    for part, share in enumerate(shares):
        if share and counts and not counts[part]:
            largest, count = counts.most_common(1)[0]
            if count > 1:
                name = [name for name, one in parts.items() if one == largest][-1]
                parts[name] = part
                counts[largest], counts[part] = count - 1, 1
    return parts
