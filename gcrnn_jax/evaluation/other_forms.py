"""Files that are no lists: what they seem to be, and what is expected instead."""

from pathlib import Path

from gcrnn_jax.data.lists.text import utf_16
from gcrnn_jax.errors import DataError

_AUDIO = "audio: a list says what is in recordings"
_BEGINNINGS = {  # of files, and what they are
    b"\x1f\x8b": "a gzip file: unpack it",
    b"BZh": "a bzip2 file: unpack it",
    b"\xfd7zXZ\0": "an xz file: unpack it",
    b"\x28\xb5\x2f\xfd": "a Zstandard file: unpack it",
    b"PK\x03\x04": "a ZIP file, as a workbook (.xlsx) is: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook (.xls): save it as CSV",
    b"PAR1": "Parquet: write it as CSV",
    b"\x89HDF": "HDF5: write it as CSV",
    b"\x93NUMPY": "a NumPy array: write it as CSV",
    b"SQLite format 3\0": "a database: write it as CSV",
    b"\x80\x04\x95": "a pickle: write it as CSV",
    b"RIFF": _AUDIO,
    b"fLaC": _AUDIO,
    b"OggS": _AUDIO,
    b"ID3": _AUDIO,
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file (`git lfs pull`)",
}
_MARKUP = (b"<!doctype", b"<html", b"<?xml")


def check_is_list(path: Path) -> None:
    """Raises DataError for a file that is no text, or text of another form."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if (form := _other_form(content)) is not None:
        raise DataError(
            f"{path}: expected a list as text, its columns separated by tabs or "
            f"commas, got {form}"
        )
    if b"\0" in content and utf_16(content) is None:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: expected text, got a zero byte: it may not have been "
            "written to its end"
        )


def _other_form(content: bytes) -> str | None:
    """What a file is, if no list.

    Example:
        >>> _other_form(b'{"a.wav": []}')
        'JSON: write it as CSV'
        >>> _other_form(b"[1].wav") is None
        True
    """
    for beginning, form in _BEGINNINGS.items():
        if content.startswith(beginning):
            return form
    head, tail = content[:100].lstrip(), content[-100:].rstrip()
    if head.lower().startswith(_MARKUP):
        return "a web page or XML: was it downloaded whole?"
    if head[:1] + tail[-1:] in (b"{}", b"[]"):
        return "JSON: write it as CSV"
    return None
