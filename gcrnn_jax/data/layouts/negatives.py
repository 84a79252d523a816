"""Labels that mean none of the classes."""

import dataclasses

from gcrnn_jax.data.clips.listing import Listing
from gcrnn_jax.data.labels import ClassList, nearest
from gcrnn_jax.errors import DataError


def without_negatives(
    where: str, listing: Listing, negatives: tuple[str, ...] | None
) -> Listing:
    """A listing without some labels: what had only those is known to be of no class.

    Args:
        where: The folder, for messages.
        listing: What its files say.
        negatives: The labels; "" is none of them, so `("",)` says that there are none.

    Raises:
        DataError: A label that does not occur.
    """
    names = {name for name in negatives or () if name}
    if not names:
        return listing
    labels = {label for clip in listing.clips for label in clip.labels or ()}
    labels |= {event.label for event in listing.events}
    for name in sorted(names - labels):
        hint = nearest(name, tuple(sorted(labels)))
        raise DataError(
            f"{where}: negatives: expected labels that occur, got {name!r}{hint}"
        )
    clips = [
        clip._replace(labels=tuple(one for one in clip.labels if one not in names))
        if clip.labels
        else clip
        for clip in listing.clips
    ]
    events = [event for event in listing.events if event.label not in names]
    classes = listing.classes
    if classes:
        kept = [k for k, name in enumerate(classes.names) if name not in names]
        ids, of_kept = classes.ids, classes.names
        classes = ClassList(
            tuple(ids[k] for k in kept), tuple(of_kept[k] for k in kept)
        )
    return dataclasses.replace(listing, clips=clips, events=events, classes=classes)
