"""Class lists: which sounds a system knows, in which order."""

import contextlib
import dataclasses
import difflib
import functools
import os
import re
from collections import Counter
from collections.abc import Sequence

from gcrnn_jax.data.lists.text import (
    SEPARATORS,
    BadRow,
    find_separator,
    read_utf8_lines,
    split_columns,
)
from gcrnn_jax.errors import DataError

_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER = re.compile(r"(class_)?id[\s,;]", re.I)


@dataclasses.dataclass(frozen=True)
class ClassList:
    """The K classes of a task; class k is column k of labels and posteriors.

    Attributes:
        ids: One per class, unique, as AudioSet's "/m/07jdr".
        names: One per class, unique, as "Air horn, truck horn".

    Raises:
        DataError: Ids and names differ in number, or one occurs twice or is empty.

    Example:
        >>> classes = ClassList(ids=("/m/0k4j", "/m/07jdr"), names=("Car", "Train"))
        >>> len(classes), classes.index_by_id["/m/07jdr"]
        (2, 1)
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.ids) != len(self.names):
            raise DataError(f"{len(self.ids)} class ids, {len(self.names)} class names")
        for what, values in (("id", self.ids), ("name", self.names)):
            counts = Counter(values)
            for value in values:
                if not value.strip() or counts[value] > 1:
                    raise DataError(f"class {what} {value!r} is empty or not unique")
                if _CONTROL.search(value):
                    raise DataError(f"class {what} {value!r} has control characters")

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def index_by_id(self) -> dict[str, int]:
        """Class id -> k."""
        return {class_id: k for k, class_id in enumerate(self.ids)}

    @functools.cached_property
    def index_by_name(self) -> dict[str, int]:
        """Class name -> k."""
        return {name: k for k, name in enumerate(self.names)}

    def unknown_id(self, text: str) -> str:
        """Says that a text is no id, and which was meant.

        Example:
            >>> DCASE2017_CLASSES.unknown_id("Car")
            "unknown class id 'Car': that is a name, its id is '/m/0k4j'"
        """
        what = f"unknown class id {text!r}"
        if (k := self.index_by_name.get(text)) is not None:
            return f"{what}: that is a name, its id is {self.ids[k]!r}"
        return what + nearest(text, self.ids)

    def unknown_name(self, text: str) -> str:
        """Says that a text is no name, and which was meant.

        Example:
            >>> DCASE2017_CLASSES.unknown_name("air horn")
            "unknown class name 'air horn'; the nearest is 'Air horn, truck horn'"
        """
        what = f"unknown class name {text!r}"
        if (k := self.index_by_id.get(text)) is not None:
            return f"{what}: that is an id, its name is {self.names[k]!r}"
        return what + nearest(text, self.names)


@functools.lru_cache(1024)  # a list with a class too many has it in many rows
def nearest(text: str, values: tuple[str, ...]) -> str:
    """Says which of several names is nearest to a text; "" without names."""
    if not values:
        return ""
    # "truck horn" is nearer to "Air horn, truck horn" than to "Train horn".
    folded = {
        part.strip(" )"): value
        for value in values
        for part in (*re.split("[,(]", value.casefold()), value.casefold())
    }
    text = text.strip().casefold()
    matches = difflib.get_close_matches(text, folded, n=1, cutoff=0.0)
    return f"; the nearest is {folded[matches[0]]!r}" if matches else ""


def read_class_list(path: str | os.PathLike) -> ClassList:
    r"""Reads `id<TAB>name` a line; columns between the two and a header are skipped.

    Other separators are recognised, as `lists.text` says; with commas every row must
    have as many columns as the first, or a name that holds one would be cut.

    Args:
        path: As sound_event_list_17_classes.txt of DCASE 2017 Task 4.

    Raises:
        DataError: The file cannot be read, or a line is not such a row; names both.
    """
    lines = read_utf8_lines(path)
    no_header = [line for line in lines if not _HEADER.match(line)]
    separator = find_separator(no_header, _is_class_row, default="\t")
    rows: list[list[str]] = []
    for number, line in lines.rows():
        if not rows and _HEADER.match(line):
            continue
        columns = _class_columns(path, number, line, separator)
        if separator != "\t" and rows and len(columns) != len(rows[0]):
            raise DataError(
                f"{path}:{number}: expected {len(rows[0])} columns as in the first "
                f"row, separated by {SEPARATORS[separator]}, got {len(columns)}: "
                f"{line!r}"
            )
        rows.append(columns)
    if not rows:
        raise DataError(f"{path}: the class list holds no class")
    try:
        return ClassList(*zip(*((row[0], row[-1]) for row in rows), strict=True))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _class_columns(
    path: str | os.PathLike, number: int, line: str, separator: str
) -> list[str]:
    columns = []
    with contextlib.suppress(BadRow):
        columns = split_columns(line, separator)
    if separator == " ":
        columns = re.split(" {2,}", line.strip())
    if not _is_class_row(columns):
        raise DataError(f"{path}:{number}: expected id<TAB>name, got {line!r}")
    return columns


def _is_class_row(columns: Sequence[str]) -> bool:
    return len(columns) > 1 and bool(columns[0] and columns[-1])


DCASE2017_CLASSES = ClassList(
    *zip(
        ("/m/0284vy3", "Train horn"),
        ("/m/05x_td", "Air horn, truck horn"),
        ("/m/02mfyn", "Car alarm"),
        ("/m/02rhddq", "Reversing beeps"),
        ("/m/0199g", "Bicycle"),
        ("/m/06_fw", "Skateboard"),
        ("/m/012n7d", "Ambulance (siren)"),
        ("/m/012ndj", "Fire engine, fire truck (siren)"),
        ("/m/0dgbq", "Civil defense siren"),
        ("/m/04qvtq", "Police car (siren)"),
        ("/m/03qc9zr", "Screaming"),
        ("/m/0k4j", "Car"),
        ("/t/dd00134", "Car passing by"),
        ("/m/01bjv", "Bus"),
        ("/m/07r04", "Truck"),
        ("/m/04_sv", "Motorcycle"),
        ("/m/07jdr", "Train"),
        strict=True,
    )
)
"""The 17 classes of DCASE 2017 Task 4, in their official order."""
