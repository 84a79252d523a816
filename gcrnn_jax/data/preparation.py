"""Recordings and lists, or built-in soundscapes -> a feature store, computed once."""

import sys
from collections.abc import Mapping
from pathlib import Path

from gcrnn_jax.audio import soundscapes
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.data.build_store import StorePlan, finish, plan_store
from gcrnn_jax.data.dataset import SPLITS, Dataset
from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.folder import default_options, find_splits
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.layouts import LayoutOptions
from gcrnn_jax.data.manifest import hash_json
from gcrnn_jax.data.parts import PreparedPart, build_part
from gcrnn_jax.data.recording_source import recording_sources
from gcrnn_jax.data.soundscape_source import soundscape_split
from gcrnn_jax.data.speed_copies import SpeedCopies
from gcrnn_jax.data.split_files import describe_kinds
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.data.store_shards import Source
from gcrnn_jax.errors import ConfigError


def prepare_folder(
    root: str | Path,
    output: str | Path | None,
    front_end: FrontEnd,
    *,
    num_workers: int,
    max_bad_fraction: float,
    options: LayoutOptions | None = None,
) -> FeatureStore:
    """Returns the feature store of a folder, after computing what is not there yet.

    Args:
        root: In any layout of `gcrnn_jax.data.layouts`.
        output: The store's folder. None: one in the user's cache, `cache_folder()`,
            that belongs to this root and front end.
        front_end: Of the features.
        num_workers: Processes; 0: this one, -1: one a core.
        max_bad_fraction: How much of the clips may be missing, broken or unreadable;
            they are listed in rejects.csv of the store.
        options: How the folder is read; None: as `configs/sed.py` has it.

    Raises:
        ConfigError: The options name no layout.
        DataError: The folder is not as expected, or more is bad than allowed.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written.
    """
    plan = plan_folder(root, output, front_end, max_bad_fraction, options)
    return finish(plan, num_workers)


def plan_folder(
    root: str | Path,
    output: str | Path | None,
    front_end: FrontEnd,
    max_bad_fraction: float,
    options: LayoutOptions | None = None,
) -> StorePlan | FeatureStore:
    """Plans what `prepare_folder` does; returns the store if nothing is to be done."""
    options = options or default_options(front_end.clip_s)
    dataset = find_splits(root, options)
    print(dataset.summary(), file=sys.stderr)
    sources, findings = _sources(dataset, front_end, options)
    return plan_store(
        folder_in_cache(root, front_end, options) if output is None else output,
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
    options: LayoutOptions | None = None,
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
        options: As there.

    Raises:
        ConfigError: There is no such part, or no such layout.
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
    options = options or default_options(front_end.clip_s)
    dataset = find_splits(root, options)
    sources, findings = _sources(dataset, front_end, options)
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


def _sources(
    dataset: Dataset, front_end: FrontEnd, options: LayoutOptions
) -> tuple[dict[str, Source], list[Finding]]:
    """The clips of every split, those to train on with copies at other speeds."""
    found, findings = recording_sources(dataset, front_end)
    sources: dict[str, Source] = {**found}
    if options.speeds and "training" in sources:
        share = {
            "speeds": options.speeds,
            "class_names": dataset.classes.names,
            "num_clips": len(sources["training"]),
        }
        sources["training"] = SpeedCopies.from_share(
            sources["training"], front_end, share
        )
    return sources, findings


def folder_in_cache(
    root: str | Path, front_end: FrontEnd, options: LayoutOptions
) -> Path:
    """The folder in the cache for the features of a folder, as it is read.

    Raises:
        ConfigError: The user has no home.
    """
    resolved, usual = Path(root).resolve(), vars(default_options(options.clip_s))
    changes = {k: value for k, value in vars(options).items() if value != usual[k]}
    key = [front_end.as_dict(), *([changes] if changes else [])]
    return cache_path(resolved.name, str(resolved), *key)


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
        output = soundscapes_in_cache(sizes, seed, front_end)
    return plan_store(output, sources, front_end, DCASE2017_CLASSES)


def soundscapes_in_cache(
    sizes: Mapping[str, int], seed: int, front_end: FrontEnd
) -> Path:
    """The folder in the cache for the features of built-in soundscapes.

    Raises:
        ConfigError: The user has no home.
    """
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
        hours = entry["num_frames"] * store.front_end.hop_s / 3600
        rejected, copies = entry["num_rejected"], entry.get("num_copies")
        lines.append(
            f"{name}: {entry['num_clips']} clips"
            + (f", {copies} of them copies at other speeds" if copies else "")
            + f", {hours:.2f} h{describe_kinds(entry)}"
            + (f"; {rejected} rejected" if rejected else "")
        )
    lines.append(f"data sha256 {store.content_hash}")
    if (front_end := store.front_end).of_waveforms:  # read from a model, not set
        size = f"{front_end.num_frames} frames of {front_end.num_bins} values"
        lines.append(f"features: {size} a clip, one every {front_end.hop_s:g} s")
    codes = store.card["rejects_per_code"]
    if num_cropped := codes.get("CROPPED"):
        total = sum(
            entry["num_clips"] - entry.get("num_copies", 0)
            for entry in store.card["splits"].values()
        )
        longer = f"recordings are longer than {store.front_end.clip_s:g} s"
        lines.append(f"{num_cropped} of {total} {longer}: only their start is used")
    if codes:
        counts = ", ".join(f"{code} {count}" for code, count in codes.items())
        lines.append(f"{store.path / 'rejects.csv'}: {counts}")
    return "\n".join(lines)
