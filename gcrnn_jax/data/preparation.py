"""Recordings and lists, or built-in soundscapes -> a feature store, computed once."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.audio import soundscapes
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.data.build_shards import ShardSet
from gcrnn_jax.data.build_store import StorePlan, finish, plan_store
from gcrnn_jax.data.folder import SPLITS, find_splits
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.manifest import hash_json
from gcrnn_jax.data.parts import PreparedPart, build_part, read_share
from gcrnn_jax.data.recording_source import RecordingSource, recording_sources
from gcrnn_jax.data.soundscape_source import SoundscapeSource, soundscape_split
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.data.store_shards import Source
from gcrnn_jax.data.without_recordings import store_without_recordings
from gcrnn_jax.errors import ConfigError, RecordingsMissingError
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
        plan = self.plan(front_end, seed)
        return self.hold_out(finish(plan, self.num_workers), seed)

    def path(self, front_end: FrontEnd, seed: int) -> Path:
        """The folder of the features.

        Raises:
            ConfigError: None is set, and the user has no home.
        """
        if self.store:
            return Path(self.store)
        if self.root:
            return _place_in_cache(self.root, front_end)
        return _soundscapes_in_cache(self._sizes, seed, front_end)

    def plan(self, front_end: FrontEnd, seed: int) -> StorePlan | FeatureStore:
        """Plans the preparation; returns the store if there is nothing to be done.

        Raises:
            As `prepare_folder`.
        """
        path = self.path(front_end, seed)
        if not self.root:
            return plan_soundscapes(self._sizes, seed, path, front_end)
        try:
            return plan_folder(self.root, path, front_end, self.max_bad_fraction)
        except RecordingsMissingError as error:
            return store_without_recordings(path, self.root, front_end, error)

    def read_share(self, front_end: FrontEnd, seed: int, number: int) -> ShardSet:
        """The shards that a plan has left for this process, numbered from 1.

        Raises:
            DataError: It has left none.
        """

        def make_source(share: Mapping[str, Any]) -> Source:
            if self.root:
                return RecordingSource.from_share(self.root, front_end, share)
            return SoundscapeSource(**share)

        return read_share(self.path(front_end, seed), number, front_end, make_source)

    def hold_out(self, store: FeatureStore, seed: int) -> FeatureStore:
        """Moves the clips that are to be held out to a split of their own.

        Raises:
            DataError: It leaves one of the two without a clip.
        """
        if self.held_out_fraction:
            store.hold_out(self.held_out_fraction, seed)
        return store

    @property
    def _sizes(self) -> dict[str, int]:
        return dict(zip(SPLITS, self.soundscapes, strict=False))


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
        WorkdirError: The output cannot be written.
    """
    return finish(plan_folder(root, output, front_end, max_bad_fraction), num_workers)


def plan_folder(
    root: str | Path,
    output: str | Path | None,
    front_end: FrontEnd,
    max_bad_fraction: float,
) -> StorePlan | FeatureStore:
    """Plans what `prepare_folder` does; returns the store if nothing is to be done."""
    dataset = find_splits(root)
    sources, findings = recording_sources(dataset, front_end)
    return plan_store(
        _place_in_cache(root, front_end) if output is None else output,
        sources,
        front_end,
        dataset.classes,
        list_findings=findings,
        max_bad_fraction=max_bad_fraction,
    )


def prepare_part(
    root: str | Path,
    output: str | Path,
    front_end: FrontEnd,
    part: int,
    num_parts: int,
    *,
    num_workers: int = 0,
    max_bad_fraction: float,
) -> PreparedPart:
    """Computes one of several parts of what `prepare_folder` does; that finishes it.

    Parts may run on several machines at once, in any order and several times. Each is
    every `num_parts`-th shard of 1024 clips. Dask, Ray or Spark can map it: arguments
    and result can be sent, and nothing is kept between calls.

    Args:
        root: As in `prepare_folder`.
        output: As there, on a disk that all parts share.
        front_end: As there.
        part: From 1 to `num_parts`.
        num_parts: How many there are; the same in all calls.
        num_workers: As there; 0 where parts are processes themselves.
        max_bad_fraction: Of the whole folder. A part ends with an error if it alone
            loses more; otherwise `prepare_folder` decides.

    Raises:
        ConfigError: There is no such part.
        DataError: The folder is not as expected, or more is bad than allowed.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written.

    Example:
        With the workers of a cluster, and then here, where the store is sealed::

            data = "/data/set", "/shared/store", load_config("sed").front_end
            client = dask.distributed.Client(scheduler)
            done = client.map(
                lambda part: prepare_part(*data, part, 64, max_bad_fraction=0.01),
                range(1, 65),
            )
            for part in client.gather(done):
                print(part)
            store = prepare_folder(*data, num_workers=0, max_bad_fraction=0.01)
    """
    dataset = find_splits(root)
    sources, findings = recording_sources(dataset, front_end)
    return build_part(
        output,
        sources,
        front_end,
        dataset.classes,
        (part, num_parts),
        list_findings=findings,
        num_workers=num_workers,
        max_bad_fraction=max_bad_fraction,
    )


def _place_in_cache(root: str | Path, front_end: FrontEnd) -> Path:
    resolved = Path(root).resolve()
    return cache_path(resolved.name, str(resolved), front_end.as_dict())


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
        WorkdirError: The output cannot be written.
    """
    return finish(plan_soundscapes(sizes, seed, output, front_end), num_workers)


def plan_soundscapes(
    sizes: Mapping[str, int], seed: int, output: str | Path | None, front_end: FrontEnd
) -> StorePlan | FeatureStore:
    """Plans what `prepare_soundscapes` does; returns the store if that is nothing."""
    sources = {}
    for name, size in sizes.items():
        if name not in SPLITS:
            raise ConfigError(f"soundscapes: split {name!r} is none of {SPLITS}")
        sources[name] = soundscape_split(name, seed, size, front_end.sample_rate_hz)
    if output is None:
        output = _soundscapes_in_cache(sizes, seed, front_end)
    return plan_store(output, sources, front_end, DCASE2017_CLASSES)


def _soundscapes_in_cache(
    sizes: Mapping[str, int], seed: int, front_end: FrontEnd
) -> Path:
    key = (seed, dict(sizes), front_end.as_dict(), soundscapes.VERSION)
    return cache_path("soundscapes", *key)


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
    if (front_end := store.front_end).of_waveforms:  # read from a model, not set
        size = f"{front_end.num_frames} frames of {front_end.num_bins} values"
        lines.append(f"features: {size} a clip, one every {front_end.hop_s:g} s")
    codes = store.card["rejects_per_code"]
    if num_cropped := codes.get("CROPPED"):
        total = sum(entry["num_clips"] for entry in store.card["splits"].values())
        longer = f"recordings are longer than {store.front_end.clip_s:g} s"
        lines.append(f"{num_cropped} of {total} {longer}: only their start is used")
    if codes:
        counts = ", ".join(f"{code} {count}" for code, count in codes.items())
        lines.append(f"{store.path / 'rejects.csv'}: {counts}")
    return "\n".join(lines)
