"""What is wrong with the files of lists as files: their encodings and names."""

import contextlib
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.dcase2017 import (
    CLASS_LIST,
    CLIP_LIST,
    STRONG_LIST,
    WEAK_LIST,
)
from gcrnn_jax.data.lists.text import (
    SEPARATORS,
    find_separator,
    is_timed,
    read_lines,
    utf_16,
)
from gcrnn_jax.errors import DataError


def check_files(root: Path) -> Iterator[Finding]:
    """Finds other encodings and line ends, and files named nearly as lists are."""
    names = (CLIP_LIST, WEAK_LIST, STRONG_LIST)
    files = [root / name.format(split) for split in SPLITS for name in names]
    files = sorted(p for p in (*root.glob(CLASS_LIST), *files) if p.is_file())
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            continue  # UNREADABLE already
        for line, code, detail in _encoding(content):
            yield Finding(str(path), line, code, detail)
        yield from _separator(path)
    for path in sorted(root.iterdir()):
        is_list = path.name.lower().endswith(CLIP_LIST.format(""))
        if not is_list or path in files or path.name.startswith("duration_of_files_"):
            continue
        kind = re.match(r"groundtruth_(weak|strong)_label_", path.name)
        prefix = kind[0] if kind else ""
        name, names = path.name.removeprefix(prefix), map(CLIP_LIST.format, SPLITS)
        near = difflib.get_close_matches(name.lower(), list(names), 1, cutoff=0.5)
        hint = f"; the nearest is {prefix}{near[0]}" if near else ""
        detail = f"splits are {', '.join(SPLITS)}{hint}"
        yield Finding(str(path), 0, Code.UNKNOWN_LIST, detail)


def _separator(path: Path) -> Iterator[Finding]:
    """Commas or spaces where the official lists have tabs, and the like."""
    official = (
        "," if path.name in [CLIP_LIST.format(split) for split in SPLITS] else "\t"
    )
    with contextlib.suppress(DataError):  # of another encoding
        found = find_separator(read_lines(path), is_timed, default=official)
        if found != official:
            expected, came = SEPARATORS[official], SEPARATORS[found]
            detail = f"official lists of this name have {expected}, this one {came}"
            yield Finding(str(path), 0, Code.SEPARATOR, detail)


def _encoding(content: bytes) -> Iterator[tuple[int, Code, str]]:
    try:
        content.decode()
        bad = None
    except UnicodeDecodeError as error:
        bad = error.start
    if utf_16(content) is not None:
        yield 0, Code.UTF_16, "UTF-16"
    elif bad is not None:
        detail = f"byte {bad + 1} is {content[bad]:02x}; save it as UTF-8"
        yield content.count(b"\n", 0, bad) + 1, Code.ENCODING, detail
    elif content.startswith(b"\xef\xbb\xbf"):
        yield 1, Code.BYTE_ORDER_MARK, "begins with EF BB BF"
    if num_returns := content.count(b"\r"):
        yield 0, Code.LINE_ENDS, f"{num_returns} lines end in CR LF or CR"
