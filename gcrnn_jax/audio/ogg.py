"""Pages of Ogg files."""

from gcrnn_jax.audio.regions import Region


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
