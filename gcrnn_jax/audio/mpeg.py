"""Frames of MP3 files, which have no header and no end."""

import re

from gcrnn_jax.audio.regions import Region, id3_length, skip_tags

_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_TAIL_LENGTH = 16384  # bytes at the end, of at least 11 frames
_KBPS = {  # by version (3: MPEG-1) and layer (1: III, 2: II)
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def begins_mp3(region: Region) -> bool:
    """Whether there is an ID3 tag or two frames in a row: less may be anything."""
    head = region.at(0, 4096)
    if head.startswith(b"ID3") and len(head) >= 10:
        return 10 + id3_length(head) < region.size
    for match in _SYNC.finditer(head):
        start = match.start()
        length = _frame_length(head[start : start + 4])
        if length and _same_kind(head[start : start + 4], region.at(start + length, 4)):
            return True
    return False


def header_without_length(region: Region) -> bytes:
    """Returns a frame for the start of an MP3 that does not say how long it is.

    It says that the length is the largest there is: libsndfile would guess it from the
    first frames and read no further. Nothing where there is no need.
    """
    start = skip_tags(region, 0) if region.at(0, 3) == b"ID3" else 0
    header = region.at(start, 4)
    length = _frame_length(header)
    is_layer_3 = length and header[1] >> 1 & 3 == 1
    if not is_layer_3 or not _same_kind(header, region.at(start + length, 4)):
        return b""
    if declares_length(region):
        return b""
    # no checksum, 128 or 64 kbps, of silence behind the header and the side information
    header = bytes([0xFF, header[1] | 1, 0x90 | header[2] & 0x0C, header[3]])
    is_mono, is_mpeg1 = header[3] >> 6 == 3, header[1] >> 3 & 3 == 3
    side = {(True, True): 17, (True, False): 9, (False, True): 32}.get(
        (is_mono, is_mpeg1), 17
    )
    count = (1 << 31) - 1
    frame = header + bytes(side) + b"Xing\0\0\0\x01" + count.to_bytes(4, "big")
    return frame.ljust(_frame_length(header), b"\0")


def declares_length(region: Region) -> bool:
    """Whether an MP3's first frame says how many frames there are."""
    frame = region.at(skip_tags(region, 0), 64)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def ends_within_frame(region: Region, end: int) -> bool:
    """Whether frames in a row that begin before `end` go beyond it."""
    begin = max(0, end - _TAIL_LENGTH)
    tail = region.at(begin, end - begin)
    for match in _SYNC.finditer(tail):
        place, count, first = match.start(), 0, tail[match.start() :][:4]
        while place < len(tail) and _same_kind(first, header := tail[place:][:4]):
            place, count = place + _frame_length(header), count + 1
        if count >= 3 and place >= len(tail):
            return place > len(tail)
    return False


def _same_kind(first: bytes, second: bytes) -> bool:
    """Whether two frame headers are of the same version, layer and rate."""
    is_whole = len(first) == len(second) == 4 and first[:2] == second[:2]
    same_rate = is_whole and first[2] & 0x0C == second[2] & 0x0C
    return same_rate and _frame_length(second) > 0


def _frame_length(header: bytes) -> int:
    """Bytes of a frame of layer II or III; 0: no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer, index = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 4
    if version == 1 or layer not in (1, 2) or index == 15 or header[2] >> 2 & 3 == 3:
        return 0
    rate_hz = (44100, 48000, 32000)[header[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[version]
    kbps = _KBPS[(3, layer) if version == 3 else (2, 1)][index]
    samples = 72 if version != 3 and layer == 1 else 144  # over 8
    length = samples * 1000 * kbps // rate_hz
    return length + (header[2] >> 1 & 1) if length else 0
