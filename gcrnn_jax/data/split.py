"""One split of a feature store: its labels, and features in memory-mapped shards."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.data.clip_ids import ClipIds
from gcrnn_jax.data.manifest import Verifier
from gcrnn_jax.errors import DataError

EventTuple = tuple[float, float, str]

# What is known of a clip's labels, each less than the next: nothing; which classes it
# has, all of them; and when, too. A strong clip has weak labels: those of its events.
UNLABELLED, WEAK, STRONG = 0, 1, 2


class Shard(NamedTuple):
    """One file of features."""

    path: Path
    num_rows: int


@dataclasses.dataclass(eq=False)
class Split:
    """One split of a store: its labels, and features in memory-mapped shards.

    Attributes:
        name: As "training".
        clip_ids: N ids, a tuple or the like (`ClipIds`).
        num_frames: int32 [N], frames of each clip before its padding.
        weak_label: bool [N, K], mapped from its file; no class where unlabelled.
        events: Clip id -> its events (onset_s, offset_s, class name), an empty tuple
            for a clip without, of its strong clips alone; None: it has none.
        shards: Where the features are.
        frame_shape: (T, F) of every clip, with padding.
        class_names: Of the K classes.
        content_hash: The same for the same features and labels, wherever they lie.
        data_content_hash: Of the data set that it is a split of; see `data_hash`.
        clips: int64 [N], rows of the shards; None: all, in order.
        known: int8 [N], UNLABELLED, WEAK or STRONG; None: all clips are alike, STRONG
            where there are events, or else WEAK.
        strong_label: bool [N, T, K], or what is indexed as it is, for losses that use
            it, no class where a clip is not strong; None: not made.
        verifier: Of the shards; None: they were verified.
    """

    name: str
    _: dataclasses.KW_ONLY
    clip_ids: ClipIds | tuple[str, ...]
    num_frames: np.ndarray
    weak_label: np.ndarray
    events: Mapping[str, tuple[EventTuple, ...]] | None
    shards: Sequence[Shard]
    frame_shape: tuple[int, int]
    class_names: tuple[str, ...]
    content_hash: str
    data_content_hash: str
    clips: np.ndarray | None = None
    known: np.ndarray | None = None
    strong_label: Any = None
    verifier: Verifier | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.clip_ids, ClipIds):
            self.clip_ids = tuple(self.clip_ids)
        self.class_names = tuple(self.class_names)
        # Row r of the split is row r - ends[s - 1] of the first shard s with ends > r.
        self._ends = np.cumsum([shard.num_rows for shard in self.shards], dtype=int)
        self._arrays: dict[int, np.ndarray] = {}
        self._scored: Split | None = None

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process maps the files itself.
        return {**self.__dict__, "_arrays": {}, "_scored": None}

    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the features of some clips, float16 [n, T, F], 0 where padded.

        Args:
            indices: [n] in [0, N), in any order, repeats allowed.

        Raises:
            IndexError: An index is not in [0, N).
            DataError: A shard is gone or damaged.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(
                f"clips {indices.min()} to {indices.max()} of split {self.name!r}, "
                f"which has {len(self)}"
            )
        if self.clips is not None:
            indices = self.clips[indices]
        shards = np.searchsorted(self._ends, indices, side="right")
        if len(self._arrays) < len(self.shards):
            self._map({*shards.tolist()} - self._arrays.keys())
        if len(self.shards) == 1 and indices.size:
            return self._arrays[0].take(indices, axis=0)
        features = np.empty((len(indices), *self.frame_shape), np.float16)
        starts = np.concatenate([[0], self._ends])[shards]
        places = zip(shards.tolist(), (indices - starts).tolist(), strict=True)
        for row, (shard, index) in enumerate(places):
            features[row] = self._arrays[shard][index]
        return features

    def part(self, name: str, clips: np.ndarray) -> "Split":
        """Returns some clips, int64 [n] in [0, N), as a split of another name."""
        ids = self.clip_ids
        if isinstance(ids, ClipIds):
            clip_ids = ids.take(clips)
        else:
            clip_ids = tuple(ids[clip] for clip in clips)
        events, known = self.events, self.known
        if events is not None:
            events = {one: events[one] for one in clip_ids if one in events}
        if known is not None:
            known = known[clips]
        content = self.content_hash.encode() + clips.tobytes()
        return dataclasses.replace(
            self,
            name=name,
            clip_ids=clip_ids,
            num_frames=self.num_frames[clips],
            weak_label=self.weak_label[clips],
            events=events,
            content_hash=hashlib.sha256(content).hexdigest(),
            clips=clips if self.clips is None else self.clips[clips],
            known=known,
            strong_label=None,
        )

    @property
    def kinds(self) -> np.ndarray:
        """int8 [N], UNLABELLED, WEAK or STRONG, whether clips are alike or not."""
        if self.known is not None:
            return self.known
        return np.full(len(self), WEAK if self.events is None else STRONG, np.int8)

    def scored(self) -> "Split":
        """The clips that a mixed split is scored on: the strong ones, or the weak ones.

        Of a split whose clips are alike: all. Of a folder only training clips are
        mixed, and those held out of them: in other splits of which only some clips
        have strong labels, all are weak; see `gcrnn_jax.data.clips.assembly`.

        Raises:
            DataError: No clip of it has labels.
        """
        if self.known is None:
            return self
        if self._scored is None:
            best = self.known.max(initial=UNLABELLED)
            if best == UNLABELLED:
                raise DataError(f"split {self.name}: no clip has labels to score it by")
            part = self.part(self.name, np.flatnonzero(self.known == best))
            events = part.events if best == STRONG else None
            self._scored = dataclasses.replace(part, known=None, events=events)
        return self._scored

    def _map(self, shards: Set[int]) -> None:
        """Maps shards, once they are verified."""
        if self.verifier is not None:
            folder = self.verifier.folder
            paths = [self.shards[shard].path for shard in sorted(shards)]
            self.verifier.verify(str(path.relative_to(folder)) for path in paths)
        for shard in shards:
            path, num_rows = self.shards[shard]
            shape = num_rows, *self.frame_shape
            self._arrays[shard] = map_array(path, "shard", np.float16, shape)


def map_array(path: Path, what: str, dtype: type, shape: tuple[int, ...]):
    """Maps an array from its file.

    Raises:
        DataError: It cannot be, or is of another type or shape.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged {what}: {error}") from None
    if mapped.shape != shape or mapped.dtype != dtype:
        expected, got = np.dtype(dtype), f"{mapped.dtype} {mapped.shape}"
        raise DataError(
            f"{path}: damaged {what}: expected {expected} {shape}, got {got}"
        )
    return mapped.view(np.ndarray)  # plain: faster to index
