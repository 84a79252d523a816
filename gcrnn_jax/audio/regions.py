"""A stretch of a file as a file of its own, and what in it is known not to be sound."""

import os
from collections.abc import Iterator

_CHUNK = 1 << 20  # bytes searched at a time


class Region:
    """Bytes [begin, end) of an open file, to read and seek in as in a file.

    Attributes:
        size: Bytes in it.
        header: Bytes that come before those of the file.
        furthest: The end of all that was read as of a file.
    """

    def __init__(self, descriptor: int, begin: int, end: int, header: bytes = b""):
        self._descriptor, self._begin, self.header = descriptor, begin, header
        self.size = len(header) + end - begin
        self._position = self.furthest = 0

    def part(self, begin: int, end: int, header: bytes = b"") -> "Region":
        """Returns a stretch of one without a header, after a header."""
        return Region(self._descriptor, self._begin + begin, self._begin + end, header)

    def stamp(self) -> tuple[int, ...]:
        """Returns what says which bytes these are, but for changes within a tick."""
        status = os.fstat(self._descriptor)
        file = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        return *file, self._begin, self.size

    def whole_file(self) -> int | None:
        """Returns the file's descriptor if the region is all of it, as it is."""
        is_whole = self._begin == 0 and not self.header
        is_whole = is_whole and self.size == os.fstat(self._descriptor).st_size
        return self._descriptor if is_whole else None

    def at(self, offset: int, length: int) -> bytes:
        """Returns the bytes at an offset, fewer at the end, none before the start."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        start = self.header[offset : offset + length]
        if len(start) == length:
            return start
        offset += len(start) - len(self.header)
        content = os.pread(self._descriptor, length - len(start), self._begin + offset)
        return start + content

    def find_all(self, pattern: bytes, start: int = 0) -> Iterator[int]:
        """Yields the offsets from `start` on where a pattern is."""
        while content := self.at(start, _CHUNK + len(pattern) - 1):
            place = content.find(pattern)
            while place >= 0:
                yield start + place
                place = content.find(pattern, place + 1)
            start += _CHUNK

    def find(self, pattern: bytes, start: int = 0) -> int:
        """Returns the first offset from `start` on where a pattern is; -1: none."""
        return next(self.find_all(pattern, start), -1)

    def read(self, length: int = -1) -> bytes:
        """As of a file."""
        content = self.at(self._position, self.size if length < 0 else length)
        self._position += len(content)
        self.furthest = max(self.furthest, self._position)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        self._position = max(0, bases[whence] + offset)
        return self._position

    def tell(self) -> int:
        """As of a file."""
        return self._position


def skip_tags(region: Region, start: int) -> int:
    """Returns where tags and zeros that begin at an offset end.

    These are ID3v1, ID3v2, APEv2 and Lyrics3, in any order; zeros are padding.
    """
    last = before_footers(region)
    while start < region.size:
        head = region.at(start, 32)
        length = _tag_length(region, start, head)
        if start == last:
            length = region.size - start
        if not length and head[0] == 0:
            length = _num_zeros(region, start)
        if not length:
            return start
        start = min(start + length, region.size)
    return region.size


def _tag_length(region: Region, start: int, head: bytes) -> int:
    """Bytes of the tag that begins there; 0: none does."""
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[6:10]) < 128:
        return 10 + id3_length(head) + 10 * bool(head[5] & 0x10)
    if head.startswith(b"TAG"):
        return 227 if head.startswith(b"TAG+") else 128
    if head.startswith(b"APETAGEX"):
        return 32 + int.from_bytes(head[12:16], "little")
    if head.startswith(b"LYRICSBEGIN"):
        ends = [region.find(b"LYRICS200", start), region.find(b"LYRICSEND", start)]
        return max(0, min((end for end in ends if end > 0), default=-9) + 9 - start)
    return 0


def id3_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag behind its header of 10 bytes."""
    return head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]


def before_footers(region: Region) -> int:
    """Returns where the ID3v1 and APEv2 tags at the end begin."""
    end = region.size
    if region.at(end - 128, 3) == b"TAG":
        end -= 128
    footer = region.at(end - 32, 32)
    if not footer.startswith(b"APETAGEX") or footer[23] & 0x20:  # which a header has
        return end
    with_header = 32 * bool(footer[23] & 0x80)
    return max(0, end - int.from_bytes(footer[12:16], "little") - with_header)


def before_zeros(region: Region, end: int) -> int:
    """Returns where the zeros before an offset begin."""
    while content := region.at(max(0, end - _CHUNK), min(end, _CHUNK)):
        rest = content.rstrip(b"\0")
        end -= len(content) - len(rest)
        if rest:
            break
    return end


def _num_zeros(region: Region, start: int) -> int:
    """How many bytes from an offset on are zero."""
    count = 0
    while content := region.at(start + count, _CHUNK):
        rest = content.lstrip(b"\0")
        count += len(content) - len(rest)
        if rest:
            break
    return count
