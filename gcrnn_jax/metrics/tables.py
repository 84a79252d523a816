"""Scores as people and as programs read them: aligned tables and JSON."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligns columns: the first to the left, the others, numbers, to the right.

    Text stays, floats get four decimals, nan and None become `-`. No line ends in a
    space, and the last has no line end.

    Example:
        >>> print(text_table(["class", "F1"], [["Car", 0.5], ["Bus", float("nan")]]))
        class      F1
        Car    0.5000
        Bus         -
    """
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def percent(ratio: float) -> str:
    """A ratio as the papers print it, in percent with two decimals; `-` for nan.

    Example:
        >>> percent(0.46600331), percent(float("nan"))
        ('46.60', '-')
    """
    return f"{100 * ratio:.2f}" if math.isfinite(ratio) else "-"


def to_json(scores: Any) -> Any:
    """Turns scores into what JSON can hold; nan and infinities become null.

    Example:
        >>> to_json({"f1": float("nan"), "counts": np.array([1, 2])})
        {'f1': None, 'counts': [1, 2]}
    """
    if is_dataclass(scores) and not isinstance(scores, type):
        scores = {field.name: getattr(scores, field.name) for field in fields(scores)}
    elif isinstance(scores, tuple) and hasattr(scores, "_asdict"):
        scores = scores._asdict()  # type: ignore[attr-defined]
    elif isinstance(scores, np.ndarray | np.generic):
        scores = scores.tolist()
    if isinstance(scores, Mapping):
        return {str(name): to_json(value) for name, value in scores.items()}
    if isinstance(scores, list | tuple):
        return [to_json(value) for value in scores]
    if isinstance(scores, float) and not math.isfinite(scores):
        return None
    return scores


def json_text(scores: Any) -> str:
    """Scores as the text of a JSON file, valid in every parser."""
    return json.dumps(to_json(scores), indent=2, allow_nan=False) + "\n"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.1e}"
    return str(value)
