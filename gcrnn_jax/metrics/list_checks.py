"""Warnings for lists that do not match; the official tools score them silently."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from gcrnn_jax.data.lists.event_lists import EventRow

NUM_NAMED = 3  # how many files a warning names


def name_warnings(reference: Sequence[str], estimated: Sequence[str]) -> list[str]:
    """Reference files without an estimate, and estimates of unknown files."""
    files, others = dict.fromkeys(reference), dict.fromkeys(estimated)
    missing = [file for file in files if file not in others]
    unknown = [file for file in others if file not in files]
    warnings = []
    if missing:
        warnings.append(
            f"{len(missing)} of {len(files)} reference files have no estimate, first "
            f"{_first(missing)}; detection and `all clips` count them as missed, the "
            "official tagging figures leave them out"
        )
    if unknown:
        warnings.append(
            f"{len(unknown)} of {len(others)} estimated files are not in the reference "
            f"and do not count, first {_first(unknown)}"
            f"{_nearest(unknown[0], missing)}"
        )
    if len(missing) == len(files):
        warnings.append("no file name is in both lists: do they belong together?")
    return warnings


def label_warnings(
    reference: Sequence[EventRow], estimated: Sequence[EventRow]
) -> list[str]:
    """Estimated labels that the reference never has, which may be misspelt."""
    labels, others = (
        dict.fromkeys(row.event_label for row in rows if row.event_label)
        for rows in (reference, estimated)
    )
    unknown = [label for label in others if label not in labels]
    warning = (
        f"{len(unknown)} of {len(others)} estimated labels are not in the reference, "
        f"first {_first(unknown)}: all their events count as wrong"
    )
    return [warning + _nearest(unknown[0], labels)] if unknown and labels else []


def repetition_warnings(reference: Sequence[EventRow]) -> list[str]:
    """Labels repeated in a clip, as in a strong list where a weak one is expected."""
    labels = [(row.file, row.event_label) for row in reference if row.event_label]
    repeated = len(labels) - len(set(labels))
    warning = (
        f"{repeated} reference rows repeat a label of their clip, as strong lists do: "
        "the official tagging figures count every row, `all clips` each label once"
    )
    return [warning] if repeated else []


def weak_list_warnings(reference: Sequence[EventRow]) -> list[str]:
    """Times of the source video, as in a weak list where a strong one is expected."""
    is_weak = [
        Path(row.file).stem.endswith(f"_{row.onset:.3f}_{row.offset:.3f}")
        for row in reference
        if row.onset is not None
    ]
    if not is_weak or not all(is_weak):
        return []
    return [
        "the reference is a weak list, its times are where the clips were cut from: "
        "the detection figures mean nothing, use --task=tagging"
    ]


def _nearest(text: str, names: Iterable[str]) -> str:
    """Which name was probably meant, if one is like it."""
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(text.casefold(), folded, 1)
    return f"; the nearest to {text!r} is {folded[near[0]]!r}" if near else ""


def _first(files: Sequence[str]) -> str:
    more = ", ..." if len(files) > NUM_NAMED else ""
    return ", ".join(files[:NUM_NAMED]) + more
