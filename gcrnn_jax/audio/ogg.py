"""Pages of Ogg files."""

from gcrnn_jax.audio.regions import Region, skip_tags
from gcrnn_jax.audio.rejected import Rejected


def has_last_page(region: Region) -> bool:
    """Returns whether the last page is whole and marked as the end of its stream."""
    tail_length = min(region.size, 65536 + 282)  # no page is longer
    tail = region.at(region.size - tail_length, tail_length)
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return False
    body = start + 27 + tail[start + 26]
    is_last = bool(tail[start + 5] & 4)
    return is_last and len(tail) >= body + sum(tail[start + 27 : body])


def end_of_link(region: Region) -> int:
    """Returns where the second of several joined files begins, or the end."""
    has_content = False
    for place in region.find_all(b"OggS\0"):
        flags = region.at(place + 5, 1) or b"\0"
        begins = bool(flags[0] & 2)
        if begins and has_content:
            return place
        has_content = has_content or not begins
    return region.size


def bytes_between_pages(region: Region, end: int) -> int:
    """Returns how many bytes before an offset belong to no page and to no tag.

    Decoders pass over them in silence, and over the page whose head they were.
    """
    count = place = 0
    while place < end:
        head = region.at(place, 27)
        if head.startswith(b"OggS\0") and len(head) == 27:
            sizes = region.at(place + 27, head[26])
            place += 27 + head[26] + sum(sizes)
            continue
        behind = skip_tags(region, place)
        if behind == place:
            behind = min(region.find(b"OggS\0", place + 1), end)
            behind = behind if behind > 0 else end
            count += behind - place
        place = behind
    return count


def not_pages(num_bytes: int) -> Rejected:
    """What becomes of a recording with `bytes_between_pages`."""
    return Rejected("CORRUPT", f"{num_bytes} bytes belong to no page")
