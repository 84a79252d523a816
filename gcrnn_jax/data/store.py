"""Feature stores: memory-mapped features with a JSON card (written by build_store).

    STORE/card.json                     everything about the store; written last
          rejects.csv                   path, line, code, detail of what is not in it
          .next/                        what is to replace the store, while it is made,
                                        and notes of its parts; see `parts`
          SPLIT/shard-00000.npy ...     float16 [n, T, F], 0 after a clip's last frame
                shard-00000.json ...    what the shard was made of; see `store_shards`
                clip_ids.json           one id a line
                num_frames.npy          int32 [N], frames before the padding
                weak_label.npy          bool [N, K]
                events.json             clip id -> [[onset, offset, class name], ...]

A split without strong labels has no events.json.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import move_content, read_json
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import hash_json, unseal, verify_files
from gcrnn_jax.errors import ConfigError, DataError

FORMAT = "gcrnn_jax feature store"
VERSION = 2
CARD = "card.json"
NEXT = ".next"  # folder in a finished store, where the one to replace it is built

EventTuple = tuple[float, float, str]

# The splits that scores are reported on, the first that a data set has.
_REPORTED = ("testing", "validation", "evaluation")


class Shard(NamedTuple):
    """One file of features."""

    path: Path
    num_rows: int


@dataclasses.dataclass(eq=False)
class Split:
    """One split of a store: labels in memory, features in memory-mapped shards.

    Attributes:
        name: As "training".
        clip_ids: N ids.
        num_frames: int32 [N], frames of each clip before its padding.
        weak_label: bool [N, K].
        events: Clip id -> its events (onset_s, offset_s, class name), an empty tuple
            for a clip without; None if the split has no strong labels.
        shards: Where the features are.
        frame_shape: (T, F) of every clip, with padding.
        class_names: Of the K classes.
        content_hash: The same for the same features and labels, wherever they lie.
        data_content_hash: Of the data set that it is a split of; see `data_hash`.
        clips: int64 [N], rows of the shards; None: all, in order.
        strong_label: bool [N, T, K], for losses that use it; None: not made.
    """

    name: str
    _: dataclasses.KW_ONLY
    clip_ids: tuple[str, ...]
    num_frames: np.ndarray
    weak_label: np.ndarray
    events: Mapping[str, tuple[EventTuple, ...]] | None
    shards: Sequence[Shard]
    frame_shape: tuple[int, int]
    class_names: tuple[str, ...]
    content_hash: str
    data_content_hash: str
    clips: np.ndarray | None = None
    strong_label: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.clip_ids, self.class_names = tuple(self.clip_ids), tuple(self.class_names)
        # Row r of the split is row r - ends[s - 1] of the first shard s with ends > r.
        self._ends = np.cumsum([shard.num_rows for shard in self.shards], dtype=int)
        self._arrays: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process maps the files itself.
        return {**self.__dict__, "_arrays": {}}

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
        if len(self.shards) == 1:
            return self._array(0).take(indices, axis=0)
        features = np.empty((len(indices), *self.frame_shape), np.float16)
        shards = np.searchsorted(self._ends, indices, side="right")
        starts = np.concatenate([[0], self._ends])[shards]
        places = zip(shards.tolist(), (indices - starts).tolist(), strict=True)
        for row, (shard, index) in enumerate(places):
            features[row] = self._array(shard)[index]
        return features

    def part(self, name: str, clips: np.ndarray) -> "Split":
        """Returns some clips, int64 [n] in [0, N), as a split of another name."""
        clip_ids = tuple(self.clip_ids[clip] for clip in clips)
        events = self.events
        if events is not None:
            events = {clip_id: events.get(clip_id, ()) for clip_id in clip_ids}
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
        )

    def _array(self, shard: int) -> np.ndarray:
        if shard not in self._arrays:
            path, num_rows = self.shards[shard]
            shape = (num_rows, *self.frame_shape)
            damaged = f"{path}: damaged shard"
            try:
                mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{damaged}: {error}") from None
            if mapped.shape != shape or mapped.dtype != np.float16:
                got = f"{mapped.dtype} {mapped.shape}"
                raise DataError(f"{damaged}: expected float16 {shape}, got {got}")
            self._arrays[shard] = mapped.view(np.ndarray)  # plain: faster to index
        return self._arrays[shard]


class FeatureStore:
    """A prepared data set; made by `open`, read-only.

    Attributes:
        path: Its folder.
        front_end: How the features were computed.
        classes: The K classes of the weak labels.
        mean: float32 [F], per bin over the real frames of the training split.
        std: float32 [F], > 0.
        content_hash: Which data it was made of; see `gcrnn_jax.data.data_hash`.
        splits: Name -> Split.
        card: The card as read.
    """

    def __init__(self, path: Path, card: dict[str, Any]):
        self.path = path
        self.card = card
        self.front_end = FrontEnd.from_dict(card["front_end"])
        self.classes = ClassList(card["classes"]["ids"], card["classes"]["names"])
        self.mean = np.asarray(card["scaler"]["mean"], np.float32)
        self.std = np.asarray(card["scaler"]["std"], np.float32)
        self.content_hash: str = card["data_sha256"]
        entries = card["splits"].items()
        self.splits = {name: self._open_split(name, entry) for name, entry in entries}

    @classmethod
    def open(cls, path: str | Path) -> "FeatureStore":
        """Opens a finished store; checks its card, and the files changed since.

        Raises:
            DataError: It is no store, not finished, of another version, or a file is
                missing or damaged; names the file.
        """
        path = Path(path)
        card_path = path / CARD
        move_content(path / NEXT, path, CARD)  # where its builder was killed
        if not card_path.exists():
            raise DataError(
                f"{card_path}: not found: no feature store, or one not finished"
            )
        card = read_json(card_path)
        if card.get("format") != FORMAT:
            raise DataError(f"{card_path}: not the card of a feature store")
        if card.get("version") != VERSION:
            raise DataError(
                f"{card_path}: version {card.get('version')!r}, this program reads "
                f"{VERSION}: prepare it again"
            )
        try:
            card = unseal(card, card_path)
            verify_files(path, card["files"])
            return cls(path, card)
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
            raise DataError(f"{card_path}: damaged card: {error!r}") from None

    @property
    def reported_split(self) -> str:
        """Name of the split whose scores are reported.

        Raises:
            DataError: The data has nothing but training clips.
        """
        for name in _REPORTED:
            if name in self.splits:
                return name
        splits = list(self.splits)
        raise DataError(f"{self.path} has no labelled split to score: {splits}")

    def find_split(self, name: str | None) -> Split:
        """A split by its name; None: the one that is reported.

        Raises:
            ConfigError: There is none of this name.
        """
        name = name or self.reported_split
        if name not in self.splits:
            names = ", ".join(self.splits)
            raise ConfigError(f"no split {name} in {self.path}: it has {names}")
        return self.splits[name]

    def find_fit_split(self, scored: Split) -> Split | None:
        """The split to fit thresholds on for scoring another; None: no other."""
        validation = self.splits.get("validation")
        return None if validation is scored else validation

    def hold_out(self, fraction: float, seed: int) -> None:
        """Moves a random part of the training clips to a split "held_out".

        Raises:
            DataError: It leaves one of the two without a clip.
        """
        split = self.splits["training"]
        count = round(fraction * len(split))
        if not 0 < count < len(split):
            raise DataError(
                f"{self.path}: {fraction:g} of {len(split)} training clips cannot be "
                "held out: that is none, or all"
            )
        order = np.random.default_rng(seed).permutation(len(split))
        self.splits["training"] = split.part("training", np.sort(order[count:]))
        self.splits["held_out"] = split.part("held_out", np.sort(order[:count]))

    def _open_split(self, name: str, entry: dict[str, Any]) -> Split:
        folder = self.path / name
        num_clips = entry["num_clips"]
        clip_ids = tuple(read_json(folder / "clip_ids.json", list))
        shards = [Shard(folder / one["file"], one["rows"]) for one in entry["shards"]]
        num_rows = sum(shard.num_rows for shard in shards)
        if not len(clip_ids) == num_clips == num_rows:
            raise DataError(
                f"{folder}: {len(clip_ids)} clip ids and {num_rows} rows "
                f"for {num_clips} clips"
            )
        events = None
        if entry["has_events"]:
            events = {
                clip_id: tuple((onset, offset, label) for onset, offset, label in rows)
                for clip_id, rows in read_json(folder / "events.json").items()
            }
        hashes = {
            file: entry["sha256"]
            for file, entry in self.card["files"].items()
            if file.startswith(f"{name}/")
        }
        content = [self.card["front_end"], self.card["classes"], hashes]
        shape = (num_clips, len(self.classes))
        return Split(
            name,
            clip_ids=clip_ids,
            num_frames=_read_array(folder / "num_frames.npy", shape[:1]),
            weak_label=_read_array(folder / "weak_label.npy", shape),
            events=events,
            shards=shards,
            frame_shape=(self.front_end.num_frames, self.front_end.num_bins),
            class_names=self.classes.names,
            content_hash=hash_json(content, sort_keys=True),
            data_content_hash=self.content_hash,
        )


def _read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if array.shape != shape:
        raise DataError(f"{path}: expected shape {shape}, got {array.shape}")
    return array
