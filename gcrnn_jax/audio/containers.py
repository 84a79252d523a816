"""Where the samples of a recording lie in its file, whatever its header says.

The sizes in headers are wrong where a recorder lost power (0), where a program wrote
to a pipe (the largest number), and in files over 4 GiB, where 32 bits wrap round.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from gcrnn_jax.audio.mpeg import header_without_length
from gcrnn_jax.audio.ogg import bytes_between_pages, end_of_link
from gcrnn_jax.audio.regions import Region, before_footers, before_zeros, skip_tags


class Extent(NamedTuple):
    """Where a recording lies in its file.

    Attributes:
        end: Where it ends: as the file does, or where another recording begins.
        samples: Where samples lie that the header gives another size. None: as it says.
        missing: Bytes of samples that the header promises and that are not there.
        unread: Bytes behind the samples that are neither samples nor tags nor chunks.
        header: What libsndfile is to read in place of the first `replaced` bytes.
    """

    end: int
    samples: tuple[int, int] | None = None
    missing: int = 0
    unread: int = 0
    header: bytes = b""
    replaced: int = 0


class _Form(NamedTuple):
    """How the chunks of a kind of files are written."""

    first: int  # offset of the first
    order: Literal["big", "little"]
    name_length: int = 4
    size_length: int = 4
    align: int = 2  # chunks begin at multiples
    overhead: int = 0  # bytes that a size counts beside the chunk's content


_LITTLE, _BIG = _Form(12, "little"), _Form(12, "big")
_FORMS = {
    b"RIFF": _LITTLE,
    b"RF64": _LITTLE,
    b"BW64": _LITTLE,
    b"RIFX": _BIG,
    b"FORM": _BIG,
    b"caff": _Form(8, "big", size_length=8, align=1),
    b"riff": _Form(40, "little", name_length=16, size_length=8, align=8, overhead=24),
}
_SAMPLES = (b"data", b"SSND")
# What programs write as a size when they do not know it: near 2 and 4 GiB.
_UNKNOWN = (range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))

# A recording begins so; the first bytes that are always the same, and their offset.
_STARTS = tuple(
    (literal, offset, re.compile(pattern, re.DOTALL))
    for literal, offset, pattern in (
        (b"RIFF", 0, rb"RIFF....(WAVE|AVI )"),
        (b"RIFX", 0, rb"RIFX....WAVE"),
        (b"RF64", 0, rb"RF64....WAVE"),
        (b"BW64", 0, rb"BW64....WAVE"),
        (b"riff\x2e\x91\xcf\x11", 0, rb"riff\x2e\x91\xcf\x11"),
        (b"FORM", 0, rb"FORM....(AIF[FC]|8SVX|16SV)"),
        (b"caff\0\1", 0, rb"caff\0\x01"),
        (b".snd\0\0", 0, rb"\.snd\0\0"),
        (b"dns.", 0, rb"dns\...\0\0"),
        (b"fLaC", 0, rb"fLaC[\0\x80]\0\0\x22"),
        (b"ftyp", 4, rb"\0\0..ftyp[\w ]{4}"),
        (b"\x1aE\xdf\xa3", 0, rb"\x1aE\xdf\xa3.{1,40}(webm|matroska)"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        (b"#!AMR", 0, rb"#!AMR(-WB)?\n"),
        (b"FLV\x01", 0, rb"FLV\x01[\x01\x04\x05]\0\0\0\x09"),
        (b"TTA1", 0, rb"TTA1[\x01\x02]\0"),
    )
)


_MOST_KNOWN = 64
_known: dict[tuple[int, ...], Extent] = {}  # by `Region.stamp`


def known_extent(region: Region) -> Extent:
    """As `find_extent`, which may read all of a file, once for many stretches of it."""
    if (extent := _known.get(stamp := region.stamp())) is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        extent = _known[stamp] = find_extent(region)
    return extent


def find_extent(region: Region) -> Extent:
    """Returns where the recording lies that begins a region."""
    magic = region.at(0, 4)
    if magic == b"OggS":
        end = end_of_link(region)
        return Extent(end, unread=bytes_between_pages(region, end))
    if magic in (b".snd", b"dns."):
        order: Literal["big", "little"] = "big" if magic == b".snd" else "little"
        start, size = (int.from_bytes(region.at(at, 4), order) for at in (4, 8))
        return _extent(region, None, start, size)
    if magic == b"RIFF" and region.at(8, 4) == b"AVI ":
        end, size = _next_start(region), int.from_bytes(region.at(4, 4), "little")
        return Extent(end, missing=max(0, size + 8 - end) if size < 1 << 31 else 0)
    if (form := _FORMS.get(magic)) is not None:
        return _extent_of_chunks(region, form, magic)
    if header := header_without_length(region):
        return Extent(before_zeros(region, before_footers(region)), header=header)
    return Extent(_next_start(region))


def _extent_of_chunks(region: Region, form: _Form, magic: bytes) -> Extent:
    long_size = 0
    for name, start, stated in _chunks(region, form, form.first):
        if name == b"ds64":
            long_size = _signed(region.at(start + 8, 8), form.order)
        if name in _SAMPLES:
            is_long = magic in (b"RF64", b"BW64") and stated == 0xFFFFFFFF
            size, is_caf = long_size if is_long else stated, magic == b"caff"
            skip = 8 if name == b"SSND" else 4 if is_caf else 0
            extent = _extent(region, form, start + skip, size - skip)
            return _patched(region, start, extent) if is_caf else extent
    return Extent(region.size)


def begins_recording(region: Region, offset: int) -> bool:
    """Whether a recording that can be known by its first bytes begins there."""
    head = region.at(offset, 64)
    return any(pattern.match(head) for _, _, pattern in _STARTS)


def _extent(region: Region, form: _Form | None, start: int, size: int) -> Extent:
    """Of samples that begin at `start` and have `size` bytes, as their header says."""
    stated, end = start + size, region.size
    is_unknown = size <= 0 or stated > end and any(size in sizes for sizes in _UNKNOWN)
    if is_unknown:
        reached = _skip_chunks(region, form, start)
        if reached < end and not begins_recording(region, reached):
            return Extent(end, samples=(start, before_footers(region)))
        stated = start
    if stated > end:
        return Extent(end, missing=stated - end)
    if form is None or form.size_length == 4:  # which wraps round at 4 GiB
        for wrapped in range(stated + (1 << 32), end + 1, 1 << 32):
            if _skip_chunks(region, form, wrapped) == end:
                return Extent(end, samples=(start, wrapped))
    reached = _skip_chunks(region, form, stated)
    if reached == end or begins_recording(region, reached):
        # libsndfile reads a W64 file's samples on through what is behind them
        is_w64 = form is not None and form.overhead > 0 and reached > stated
        return Extent(reached, samples=(start, stated) if is_w64 else None)
    return Extent(end, unread=end - reached)


def _chunks(
    region: Region, form: _Form, offset: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yields the first four letters, offset and size of the content of each chunk."""
    head_length = form.name_length + form.size_length
    while len(head := region.at(offset, head_length)) == head_length:
        if not all(0x20 <= byte < 0x7F for byte in head[:4]):
            return
        size = _signed(head[form.name_length :], form.order) - form.overhead
        start = offset + head_length
        yield head[:4], start, size
        if size < 0:
            return
        offset = -(-(start + size) // form.align) * form.align


def _signed(field: bytes, order: Literal["big", "little"]) -> int:
    """The value of a size, of 64 bits with a sign: -1 is an unknown one."""
    return int.from_bytes(field, order, signed=len(field) == 8)


def _skip_chunks(region: Region, form: _Form | None, start: int) -> int:
    """Returns where chunks, tags and zeros that begin at an offset end."""
    if form and start % form.align and not begins_recording(region, start):
        start += not any(region.at(start, 1))  # some programs forget to pad
    while True:
        offset = skip_tags(region, start)
        if form is None or begins_recording(region, offset):
            return offset
        for _, content, size in _chunks(region, form, offset):
            end = min(content + size, region.size)
            if not 0 <= content + size <= region.size + form.align:
                break
            offset = min(-(-end // form.align) * form.align, region.size)
            if begins_recording(region, offset):
                break
        if offset == start:
            return offset
        start = offset


def _patched(region: Region, start: int, extent: Extent) -> Extent:
    """Gives the sample chunk of a CAF file, which begins there, its real size."""
    if not extent.missing and not extent.samples:
        return extent
    size = (extent.samples[1] if extent.samples else extent.end) - start
    header = region.at(0, start - 8) + size.to_bytes(8, "big")
    return extent._replace(samples=None, header=header, replaced=start)


def _next_start(region: Region) -> int:
    """Returns where another recording of the first one's kind begins, or the end."""
    head = region.at(0, 64)
    for literal, offset, pattern in _STARTS:
        if pattern.match(head):
            for place in region.find_all(literal, offset + 1):
                if pattern.match(region.at(place - offset, 64)):
                    return place - offset
    return region.size
