"""Warnings for lists that do not match; the official tools score them silently."""

from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.data.event_lists import EventRow

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
        )
    if len(missing) == len(files):
        warnings.append("no file name is in both lists: do they belong together?")
    return warnings


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


def _first(files: Sequence[str]) -> str:
    more = ", ..." if len(files) > NUM_NAMED else ""
    return ", ".join(files[:NUM_NAMED]) + more
