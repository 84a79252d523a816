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
                known.npy               int8 [N], what is known of it; see `split`

A split without strong labels has no events.json; it has those of strong clips. One
whose clips are alike, all strong or all weak, has no known.npy.

Opening a store reads ids and lengths and maps the weak labels; shards are mapped when
clips of them are read. What was written is what is read: labels, and shards up to
`_HASHED_AT_OPENING`, are hashed at opening, other shards when they are mapped.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import move_content, read_json
from gcrnn_jax.data.clip_ids import ClipIds, original_id
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import Verifier, hash_json, unseal
from gcrnn_jax.data.split import EventTuple, Shard, Split, map_array
from gcrnn_jax.errors import ConfigError, DataError

FORMAT = "gcrnn_jax feature store"
VERSION = 2
CARD = "card.json"
NEXT = ".next"  # folder in a finished store, where the one to replace it is built

_TIMES = re.compile(r"_\d+\.\d{3}_\d+\.\d{3}$")  # of a clip that was cut from another
_HASHED_AT_OPENING = 1 << 30  # bytes: a second or two

# The splits that scores are reported on, the first that a data set has.
_REPORTED = ("testing", "validation", "evaluation")


class FeatureStore:
    """A prepared data set; made by `open`, read-only.

    Attributes:
        path: Its folder.
        front_end: How the features were computed.
        classes: The K classes of the weak labels.
        mean: float32 [F], per bin over the real frames of the training split, of
            unlabelled clips too.
        std: float32 [F], > 0.
        content_hash: Which data it was made of; see `gcrnn_jax.data.data_hash`.
        splits: Name -> Split.
        num_copies: Name -> how many clips, the last ones, are others at other speeds;
            of training clips and those of them that are held out.
        card: The card as read.
    """

    def __init__(self, path: Path, card: dict[str, Any], verifier: Verifier):
        self.path = path
        self._verifier = verifier
        self.card = card
        self.front_end = FrontEnd.from_dict(card["front_end"])
        self.classes = ClassList(card["classes"]["ids"], card["classes"]["names"])
        self.mean = np.asarray(card["scaler"]["mean"], np.float32)
        self.std = np.asarray(card["scaler"]["std"], np.float32)
        self.content_hash: str = card["data_sha256"]
        entries = card["splits"].items()
        self.splits = {name: self._open_split(name, entry) for name, entry in entries}
        training = card["splits"].get("training", {})
        self.num_copies = {"training": int(training.get("num_copies", 0))}

    @classmethod
    def open(cls, path: str | Path) -> "FeatureStore":
        """Opens a finished store; checks its card, and files that changed since.

        A shard that was found damaged while it was read is found again here.

        Raises:
            DataError: It is no store, not finished, of another version, or a file is
                missing or damaged, as far as files are hashed now; names the file.
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
            verifier = Verifier(path, card["files"])
            verifier.verify(_verified_first(card["files"], verifier.damaged))
            return cls(path, card, verifier)
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
        """A split to score, by its name; None: the one that is reported.

        Of a mixed split those clips of which most is known: see `Split.scored`. Copies
        of training clips are not scored.

        Raises:
            ConfigError: There is none of this name.
            DataError: No clip of it has labels.
        """
        name = name or self.reported_split
        if name not in self.splits:
            names = ", ".join(self.splits)
            raise ConfigError(f"no split {name} in {self.path}: it has {names}")
        return self.originals(name).scored()

    def find_fit_split(self, scored: Split) -> Split | None:
        """The split to fit thresholds on for scoring another; None: no other."""
        if "validation" not in self.splits:
            return None
        validation = self.find_split("validation")
        return None if validation is scored else validation

    def scored_splits(self) -> list[Split]:
        """The splits as they are scored, without those that no clip has labels of."""
        splits = map(self.originals, self.splits)
        return [split.scored() for split in splits if split.kinds.any()]

    def originals(self, name: str) -> Split:
        """A split without copies."""
        split = self.splits[name]
        num_copies = self.num_copies.get(name, 0)
        if not num_copies:
            return split
        return split.part(name, np.arange(len(split) - num_copies))

    def hold_out(self, fraction: float, seed: int, part: int = 0) -> None:
        """Moves a random part of the training clips to a split "held_out".

        Clips that were cut from one recording stay together, and with their copies at
        other speeds.

        Args:
            fraction: Of the training clips.
            seed: Of their order.
            part: Which part of this size, counted from 0. No clip is in two of them.

        Raises:
            DataError: It leaves one of the two without a clip.
        """
        split = self.splits["training"]
        first, end = (round(n * fraction * len(split)) for n in (part, part + 1))
        if not 0 < end - first < len(split):
            raise DataError(
                f"{self.path}: {fraction:g} of {len(split)} training clips cannot be "
                "held out: that is none, or all"
            )
        order = np.random.default_rng(seed).permutation(len(split))
        originals = len(split) - self.num_copies["training"]
        clip_ids = [
            clip_id if index < originals else original_id(clip_id)
            for index, clip_id in enumerate(split.clip_ids)
        ]
        order, is_held_out = _part_by_source(order, first, end, clip_ids)
        if is_held_out.all():
            raise DataError(f"{self.path}: all training clips are of one recording")
        if not is_held_out.any():
            raise DataError(
                f"{self.path}: part {part}, counted from 0, of {fraction:g} of the "
                "training clips has none: too many are of one recording"
            )
        for name, is_in in (("training", ~is_held_out), ("held_out", is_held_out)):
            clips = np.sort(order[is_in])
            self.splits[name] = split.part(name, clips)
            self.num_copies[name] = int((clips >= originals).sum())

    def _open_split(self, name: str, entry: dict[str, Any]) -> Split:
        folder = self.path / name
        num_clips = entry["num_clips"]
        clip_ids = ClipIds.read(folder / "clip_ids.json")
        shards = [Shard(folder / one["file"], one["rows"]) for one in entry["shards"]]
        num_rows = sum(shard.num_rows for shard in shards)
        if not len(clip_ids) == num_clips == num_rows:
            raise DataError(
                f"{folder}: {len(clip_ids)} clip ids and {num_rows} rows "
                f"for {num_clips} clips"
            )
        events: dict[str, tuple[EventTuple, ...]] | None = None
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
        known = None
        if f"{name}/known.npy" in self.card["files"]:
            known = map_array(folder / "known.npy", "labels", np.int8, shape[:1])
        return Split(
            name,
            clip_ids=clip_ids,
            num_frames=_read_array(folder / "num_frames.npy", shape[:1]),
            weak_label=map_array(folder / "weak_label.npy", "labels", bool, shape),
            events=events,
            shards=shards,
            frame_shape=(self.front_end.num_frames, self.front_end.num_bins),
            class_names=self.classes.names,
            content_hash=hash_json(content, sort_keys=True),
            data_content_hash=self.content_hash,
            verifier=self._verifier,
            known=known,
        )


def _verified_first(
    files: Mapping[str, Mapping[str, Any]], damaged: Sequence[str]
) -> list[str]:
    """Files of a store to be hashed at its opening: labels, and shards that fit."""
    shards = [name for name in files if Path(name).name.startswith("shard-")]
    others = files.keys() - shards
    total = sum(files[name]["bytes"] for name in others)
    for name in shards:
        total += files[name]["bytes"]
        if total <= _HASHED_AT_OPENING or name in damaged:
            others.add(name)
    return [name for name in files if name in others]


def _part_by_source(
    order: np.ndarray, first: int, end: int, clip_ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Clips in an order in which those of a source follow each other.

    Returns:
        The order, that which was given if each clip has a source of its own; and of
        each in it whether its source begins at a place from `first` to before `end`.
    """
    sources = [_TIMES.sub("", clip_id) for clip_id in clip_ids]
    begins = np.arange(len(order))
    if len(set(sources)) < len(sources):
        rank: dict[str, int] = {}
        for place in order.tolist():
            rank.setdefault(sources[place], len(rank))
        ranks = np.array([rank[sources[place]] for place in order.tolist()])
        order = order[np.argsort(ranks, kind="stable")]
        ranks.sort()
        begins = np.searchsorted(ranks, ranks)
    return order, (first <= begins) & (begins < end)


def _read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if array.shape != shape:
        raise DataError(f"{path}: expected shape {shape}, got {array.shape}")
    return array
