"""What is wrong with the files of lists as files: their encodings and names."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from gcrnn_jax.data.event_lists import Reject
from gcrnn_jax.data.folder import SPLITS


def list_files(root: Path) -> list[Path]:
    """Returns the class list and the lists of all splits, those that are there."""
    names = [
        path.format(name)
        for name in SPLITS
        for path in (
            "{}_set.csv",
            "groundtruth_weak_label_{}_set.csv",
            "groundtruth_strong_label_{}_set.csv",
        )
    ]
    files = [*root.glob("sound_event_list_*_classes.txt"), *(root / n for n in names)]
    return sorted(path for path in files if path.is_file())


def check_files(root: Path) -> Iterator[Reject]:
    """Finds other encodings and line ends, and files named nearly as lists are."""
    files = list_files(root)
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            continue  # UNREADABLE already
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            detail = "UTF-16; save it as UTF-8"
            yield str(path), 0, "ENCODING", detail
        elif (place := _first_undecodable(content)) is not None:
            detail = f"byte {place + 1} is {content[place]:02x}; save it as UTF-8"
            yield str(path), content.count(b"\n", 0, place) + 1, "ENCODING", detail
        elif content.startswith(b"\xef\xbb\xbf"):
            yield str(path), 1, "BYTE_ORDER_MARK", "begins with EF BB BF"
        if num_returns := content.count(b"\r"):
            yield str(path), 0, "LINE_ENDS", f"{num_returns} lines end in CR LF or CR"
    known = [f"{name}_set.csv" for name in SPLITS]
    for path in sorted(root.iterdir()):
        is_list = path.name.lower().endswith("_set.csv")
        if not is_list or path in files or path.name.startswith("duration_of_files_"):
            continue
        kind = re.match(r"groundtruth_(weak|strong)_label_", path.name)
        prefix = kind[0] if kind else ""
        name = path.name.removeprefix(prefix)
        near = difflib.get_close_matches(name.lower(), known, 1, cutoff=0.5)
        hint = f"; the nearest is {prefix}{near[0]}" if near else ""
        yield str(path), 0, "UNKNOWN_LIST", f"splits are {', '.join(SPLITS)}{hint}"


def _first_undecodable(content: bytes) -> int | None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
