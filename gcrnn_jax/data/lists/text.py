"""The text of lists: its encoding, and how its columns are separated, for all readers.

Lists come from other tools, from hands and from spreadsheets: separated by tabs,
commas, semicolons or spaces, with or without a header, with blank rows at their ends.
The separator is found once for a whole list; a row of another kind is then an error.
Text is brought to Unicode's form NFC, so that names that look the same are the same.
UTF-16, as spreadsheets save "Unicode text", is read as well as UTF-8; decimal commas
are where semicolons separate columns, as they do in countries that write them.
"""

import codecs
import csv
import io
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gcrnn_jax.data.findings import Code
from gcrnn_jax.errors import DataError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces"}
FILE_NAMES = frozenset(
    "filename file file_name audio_filename recording path segment_id".split()
)
ONSET_NAMES = frozenset(
    "onset onset_s start start_s start_time start_seconds start_time_seconds".split()
)
OFFSET_NAMES = frozenset(
    "offset offset_s end end_s end_time end_seconds end_time_seconds".split()
)
_BLANKS = " \t,;\"'\u00a0"
_NUM_SNIFFED = 1000  # rows, of which the separator is found
_SEP_LINE = re.compile(rb"\Asep=.(?=[\r\n])", re.IGNORECASE)


class BadRow(Exception):
    """A row that cannot be used: what was expected and what came."""

    code = Code.BAD_ROW


class BadTime(BadRow):
    """A row with a time that is none, or times in the wrong order."""

    code = Code.BAD_TIME


def nfc(text: str) -> str:
    """A text in Unicode's composed form, as labels and names are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class Lines:
    """The lines of a list, without their ends; decoded whenever they are gone through.

    A list may have millions, which as texts would take several times its size.
    """

    def __init__(self, content: bytes):
        """Of UTF-8 with any line ends."""
        self._content = content

    def __iter__(self) -> Iterator[str]:
        file = io.BytesIO(self._content)
        for line in io.TextIOWrapper(file, "utf-8", "surrogateescape"):
            yield nfc(line.removesuffix("\n"))

    def rows(self) -> Iterator[tuple[int, str]]:
        """Yields number, from 1 on, and text of each line that is not blank."""
        return ((n, text) for n, text in enumerate(self, 1) if not is_blank(text))


def read_lines(path: str | os.PathLike) -> Lines:
    """Reads the lines of a list, with any line ends and with or without a mark.

    Bytes that are not UTF-8 are kept as lone surrogates: see `check_utf8`. A first line
    `sep=;`, which tells a spreadsheet the separator, is read as a blank one.

    Raises:
        DataError: It cannot be read, or is UTF-16 that is damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if (encoding := utf_16(content)) is not None:
        try:
            content = content.decode(encoding).encode()
        except UnicodeError as error:
            raise DataError(f"{path}: expected UTF-8 text, got {error}") from None
    content = content.removeprefix(codecs.BOM_UTF8)
    return Lines(_SEP_LINE.sub(b"", content, count=1))


def read_utf8_lines(path: str | os.PathLike) -> Lines:
    """As `read_lines`, of a list that is all UTF-8 or UTF-16.

    Raises:
        DataError: It cannot be read, or has a byte that is not UTF-8; names its line.
    """
    lines = read_lines(path)
    check_utf8(path, lines)
    return lines


def utf_16(content: bytes) -> str | None:
    """As "utf-16-le", if a list is so encoded: by its mark, or by its first character.

    Example:
        >>> utf_16("a.wav".encode("utf-16-be")), utf_16(b"a.wav")
        ('utf-16-be', None)
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(content) > 1 and 0 in content[:2]:
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    return None


def check_utf8(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Raises DataError for a list with bytes that are not UTF-8; names the first."""
    for number, line in enumerate(lines, start=1):
        if (byte := wrong_byte(line)) is not None:
            raise DataError(
                f"{path}:{number}: expected UTF-8 text, got the byte {byte:02x}, which "
                "is not UTF-8: save it as UTF-8"
            )


def wrong_byte(line: str) -> int | None:
    """The first byte of a line that is not UTF-8."""
    match = None if line.isascii() else re.search("[\udc80-\udcff]", line)
    return ord(match[0]) - 0xDC00 if match else None


def is_blank(line: str) -> bool:
    """Whether a row has nothing but separators, as spreadsheets write empty rows."""
    return not line.strip(_BLANKS)


def find_separator(
    lines: Iterable[str], is_row: Callable[[list[str]], bool], default: str
) -> str:
    """The separator by which most rows of a list are such as they should be.

    Args:
        lines: Of the list.
        is_row: Of the columns of a line.
        default: Where no separator makes a row, and of several that do alike.
    """
    filled = (line for line in lines if not is_blank(line))
    rows = list(itertools.islice(filled, _NUM_SNIFFED))
    order = sorted(SEPARATORS, key=lambda separator: separator != default)
    return max(order, key=lambda by: sum(_makes_row(line, by, is_row) for line in rows))


def _makes_row(line: str, separator: str, is_row: Callable) -> bool:
    try:
        return separator in line and is_row(split_columns(line, separator))
    except BadRow:
        return False


def split_columns(line: str, separator: str) -> list[str]:
    """The columns of a row, stripped and without the quotes that spreadsheets add.

    Spaces separate columns where two or more follow each other, or else the first four
    columns, of which the last is the rest.

    Raises:
        BadRow: Quotes that do not end.
    """
    if separator in ",;":
        reader = csv.reader(
            [line], delimiter=separator, strict=True, skipinitialspace=True
        )
        try:
            return [column.strip() for column in next(reader)]
        except csv.Error as error:
            raise BadRow(f"not separated by {SEPARATORS[separator]}: {error}") from None
    if separator == "\t":
        return [_unquoted(column.strip()) for column in line.split("\t")]
    columns = re.split(" {2,}", line.strip())
    return columns if len(columns) > 3 else line.split(None, 3)


def without_empty_end(columns: list[str], count: int) -> list[str]:
    """The columns of a row; those beyond so many go if nothing is in them.

    A spreadsheet pads all rows to the width of the widest.
    """
    return columns if any(columns[count:]) else columns[:count]


def _unquoted(text: str) -> str:
    inner = text[1:-1].replace('""', "")
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in inner
    return text[1:-1].replace('""', '"') if is_quoted else text


def is_timed(columns: Sequence[str]) -> bool:
    """Whether the second and third column are numbers, or a header says so."""
    if len(columns) < 3:
        return False
    return is_time_header(columns) or all(map(_is_number, columns[1:3]))


def is_time_header(columns: Sequence[str]) -> bool:
    """Whether a row names the columns, two of which are times."""
    names = {column.lower() for column in columns}
    return bool(names & ONSET_NAMES and names & OFFSET_NAMES)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))  # a decimal comma: the reader says what is wrong
    except ValueError:
        return False
    return True
