"""Recordings and lists, or built-in soundscapes -> a feature store, computed once."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gcrnn_jax.audio import soundscapes
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.folder import SPLITS, find_splits, read_folder
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.manifest import hash_json
from gcrnn_jax.data.recording_source import recording_sources
from gcrnn_jax.data.soundscape_source import soundscape_split
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError, DataError, RecordingsMissingError
from gcrnn_jax.fields import check, user_path


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which data a system is trained on, and where its features go.

    Attributes:
        root: Folder of recordings and lists; "": built-in soundscapes.
        store: Folder of the features; "": one in the user's cache.
        soundscapes: Clips to train, to validate and to test on.
        held_out_fraction: Of the training clips, a split "held_out".
        num_workers: Processes that compute features; 0: this one, -1: one a core.
        max_bad_fraction: Of the recordings; more unreadable ones are an error.
    """

    root: str
    store: str
    soundscapes: tuple[int, int, int]
    held_out_fraction: float
    num_workers: int
    max_bad_fraction: float

    def __post_init__(self):
        """Raises ValueError for a number that is out of range; replaces ~ in paths."""
        for name in ("root", "store"):
            if path := getattr(self, name):
                object.__setattr__(self, name, str(user_path(path)))
        check(self, "in [0, 1]", "held_out_fraction", "max_bad_fraction")
        check(self, "1 or more each", "soundscapes")
        check(self, "-1 or more", "num_workers")

    def prepare(self, front_end: FrontEnd, seed: int) -> FeatureStore:
        """Returns the features of the data, after computing what is not there yet.

        Where the recordings are gone, and their features not, these are used.

        Args:
            front_end: Of the features.
            seed: Of soundscapes and of the choice of clips that are held out.

        Raises:
            As `prepare_folder`.
        """
        output = self.store or None
        if self.root:
            try:
                store = prepare_folder(
                    self.root,
                    output,
                    front_end,
                    num_workers=self.num_workers,
                    max_bad_fraction=self.max_bad_fraction,
                )
            except RecordingsMissingError as error:
                path = self.store or _place_in_cache(self.root, front_end)
                store = _store_without_recordings(path, self.root, front_end, error)
        else:
            sizes: dict[str, int] = dict(zip(SPLITS, self.soundscapes, strict=False))
            store = prepare_soundscapes(
                sizes, seed, output, front_end, num_workers=self.num_workers
            )
        if self.held_out_fraction:
            store.hold_out(self.held_out_fraction, seed)
        return store


def prepare_folder(
    root: str | Path,
    output: str | Path | None,
    front_end: FrontEnd,
    *,
    num_workers: int,
    max_bad_fraction: float,
) -> FeatureStore:
    """Returns the feature store of a folder, after computing what is not there yet.

    Args:
        root: In the layout of DCASE 2017 Task 4; see `gcrnn_jax.data.folder`.
        output: The store's folder. None: one in the user's cache, `cache_folder()`,
            that belongs to this root and front end.
        front_end: Of the features.
        num_workers: Processes; 0: this one, -1: one a core.
        max_bad_fraction: How much of the clips may be missing, broken or unreadable;
            they are listed in rejects.csv of the store.

    Raises:
        DataError: The folder is not as expected, or more is bad than allowed.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process prepares it.
    """
    dataset = find_splits(root)
    sources, findings = recording_sources(dataset, front_end)
    return build_store(
        _place_in_cache(root, front_end) if output is None else output,
        sources,
        front_end,
        dataset.classes,
        list_findings=findings,
        num_workers=num_workers,
        max_bad_fraction=max_bad_fraction,
    )


def _place_in_cache(root: str | Path, front_end: FrontEnd) -> Path:
    resolved = Path(root).resolve()
    return cache_path(resolved.name, str(resolved), front_end.as_dict())


def _store_without_recordings(
    path: str | Path, root: str, front_end: FrontEnd, reason: RecordingsMissingError
) -> FeatureStore:
    """Opens the finished store of recordings that are gone, and says so.

    Raises:
        RecordingsMissingError: There is none, of another front end, or the labels of
            its clips have changed since.
    """
    try:
        store = FeatureStore.open(path)
    except DataError:
        raise reason from None
    if store.front_end != front_end or not _has_labels_of(store, root):
        raise reason
    print(
        f"recordings not found ({reason}); using the features in {store.path}",
        file=sys.stderr,
    )
    return store


def _has_labels_of(store: FeatureStore, root: str) -> bool:
    """Whether the lists of a folder, if they are there, are those of a store."""
    if not os.path.isdir(root):
        return True
    dataset, _ = read_folder(root)
    for name in dataset.splits.keys() & store.splits.keys():
        split, labels = store.splits[name], dataset.splits[name].rows
        listed = {row.clip_id: list(row.labels) for row in labels}
        for clip_id, weak_label in zip(split.clip_ids, split.weak_label, strict=True):
            if listed.get(clip_id) != weak_label.nonzero()[0].tolist():
                return False
    return not dataset.splits or dataset.classes == store.classes


def prepare_soundscapes(
    sizes: Mapping[str, int],
    seed: int,
    output: str | Path | None,
    front_end: FrontEnd,
    *,
    num_workers: int,
) -> FeatureStore:
    """Returns a feature store of built-in soundscapes, made if it is not there yet.

    Args:
        sizes: Split name -> clips: "training" with the task's class imbalance and weak
            labels only; "validation" like it, with events; "testing" balanced, with
            events.
        seed: Of the soundscapes; no two splits of any seeds share a clip.
        output: As in `prepare_folder`.
        front_end: As in `prepare_folder`.
        num_workers: As in `prepare_folder`.

    Raises:
        ConfigError: A split of another name.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process prepares it.
    """
    sources = {}
    for name, size in sizes.items():
        if name not in SPLITS:
            raise ConfigError(f"soundscapes: split {name!r} is none of {SPLITS}")
        sources[name] = soundscape_split(name, seed, size, front_end.sample_rate_hz)
    if output is None:
        key = (seed, dict(sizes), front_end.as_dict(), soundscapes.VERSION)
        output = cache_path("soundscapes", *key)
    return build_store(
        output, sources, front_end, DCASE2017_CLASSES, num_workers=num_workers
    )


def cache_path(name: str, *inputs: object) -> Path:
    """Returns the place in the cache that belongs to a name and plain values.

    Raises:
        ConfigError: The user has no home.
    """
    if (folder := cache_folder()) is None:
        raise ConfigError("no home to keep anything in: say where, or set GCRNN_CACHE")
    return folder / f"{name}-{hash_json(inputs, sort_keys=True)[:12]}"


def summary(store: FeatureStore) -> str:
    """Returns what is in a store, in a few lines for people."""
    lines = []
    for name, entry in store.card["splits"].items():
        strong = ", strong labels" if entry["has_events"] else ""
        hours = entry["num_frames"] * store.front_end.hop_s / 3600
        rejected = entry["num_rejected"]
        lines.append(
            f"{name}: {entry['num_clips']} clips, {hours:.2f} h{strong}"
            + (f"; {rejected} rejected" if rejected else "")
        )
    lines.append(f"data sha256 {store.content_hash}")
    codes = store.card["rejects_per_code"]
    if num_cropped := codes.get("CROPPED"):
        total = sum(entry["num_clips"] for entry in store.card["splits"].values())
        longer = f"recordings are longer than {store.front_end.clip_s:g} s"
        lines.append(f"{num_cropped} of {total} {longer}: only their start is used")
    if codes:
        counts = ", ".join(f"{code} {count}" for code, count in codes.items())
        lines.append(f"{store.path / 'rejects.csv'}: {counts}")
    return "\n".join(lines)
