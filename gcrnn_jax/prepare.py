"""Recordings and label lists -> a feature store.

    python -m gcrnn_jax.prepare --root ~/dcase2017_task4

Rerunning it redoes nothing that is done.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcrnn_jax.errors import ConfigError, run_command

if TYPE_CHECKING:
    from gcrnn_jax.audio.front_end import FrontEnd
    from gcrnn_jax.data.soundscape_source import SoundscapeSource
    from gcrnn_jax.data.store import FeatureStore

MAX_BAD_FRACTION = 0.01


def prepare(
    root: str | Path,
    output: str | Path | None = None,
    front_end: "FrontEnd | None" = None,
    *,
    num_workers: int | None = None,
    max_bad_fraction: float = MAX_BAD_FRACTION,
) -> "FeatureStore":
    """Returns the feature store of a folder, after computing what is not there yet.

    Args:
        root: In the layout of DCASE 2017 Task 4; see `gcrnn_jax.data.folder`.
        output: The store's folder. None: one in the user's cache, `cache_folder()`,
            that belongs to this root and front end.
        front_end: None: the paper's log-mel.
        num_workers: Processes. None: one per core that this process may use.
        max_bad_fraction: How much of the clips may be missing, broken or unreadable;
            they are listed in rejects.csv of the store.

    Raises:
        DataError: The folder is not as expected, or more is bad than allowed.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process prepares it.
    """
    from gcrnn_jax.audio.front_end import FrontEnd
    from gcrnn_jax.data.build_store import build_store
    from gcrnn_jax.data.folder import find_splits
    from gcrnn_jax.data.recording_source import recording_sources

    front_end = front_end or FrontEnd()
    dataset = find_splits(root)
    sources, findings = recording_sources(dataset, front_end)
    if output is None:
        resolved = Path(root).resolve()
        output = cache_path(resolved.name, str(resolved), front_end.as_dict())
    return build_store(
        output,
        sources,
        front_end,
        dataset.classes,
        list_findings=findings,
        num_workers=_num_workers(num_workers),
        max_bad_fraction=max_bad_fraction,
    )


def prepare_soundscapes(
    sizes: Mapping[str, int],
    seed: int = 0,
    output: str | Path | None = None,
    front_end: "FrontEnd | None" = None,
    *,
    num_workers: int | None = None,
) -> "FeatureStore":
    """Returns a feature store of built-in soundscapes, made if it is not there yet.

    Args:
        sizes: Split name -> clips: "training" with the task's class imbalance and weak
            labels only; "validation" like it, with events; "testing" balanced, with
            events.
        seed: Of the soundscapes; no two splits of any seeds share a clip.
        output: As in `prepare`.
        front_end: As in `prepare`.
        num_workers: As in `prepare`.

    Raises:
        ConfigError: A split of another name.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process prepares it.
    """
    from gcrnn_jax.audio.front_end import FrontEnd
    from gcrnn_jax.data.build_store import build_store
    from gcrnn_jax.data.folder import SPLITS
    from gcrnn_jax.data.labels import DCASE2017_CLASSES

    front_end = front_end or FrontEnd()
    sources = {}
    for name, size in sizes.items():
        if name not in SPLITS:
            raise ConfigError(f"soundscapes: split {name!r} is none of {SPLITS}")
        sources[name] = soundscape_source(name, seed, size, front_end.sample_rate_hz)
    if output is None:
        output = cache_path("soundscapes", seed, dict(sizes), front_end.as_dict())
    return build_store(
        output,
        sources,
        front_end,
        DCASE2017_CLASSES,
        num_workers=_num_workers(num_workers),
    )


def soundscape_source(
    name: str, seed: int, size: int, sample_rate_hz: int
) -> "SoundscapeSource":
    """The built-in clips of one split, which `prepare_soundscapes` describes."""
    from gcrnn_jax.data.folder import SPLITS
    from gcrnn_jax.data.soundscape_source import SoundscapeSource

    return SoundscapeSource(
        name,
        seed=len(SPLITS) * seed + SPLITS.index(name),
        size=size,
        balanced=name != "training",
        has_events=name != "training",
        sample_rate_hz=sample_rate_hz,
    )


def cache_folder() -> Path:
    """Returns where stores without an output go.

    That is $GCRNN_CACHE, $XDG_CACHE_HOME/gcrnn_jax or ~/.cache/gcrnn_jax, the first
    that is set.
    """
    if own := os.environ.get("GCRNN_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gcrnn_jax"


def cache_path(name: str, *identity: object) -> Path:
    """Returns the place in the cache that belongs to a name and plain values."""
    import hashlib
    import json

    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"{name}-{digest[:12]}"


def summary(store: "FeatureStore") -> str:
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
    if codes:
        counts = ", ".join(f"{code} {count}" for code, count in codes.items())
        lines.append(f"{store.path / 'rejects.csv'}: {counts}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with the exit code of its error, if any."""
    flags = _parser().parse_args(argv)
    run_command(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> None:
    from gcrnn_jax.audio.front_end import FrontEnd

    started = time.monotonic()
    store = prepare(
        flags.root,
        flags.output,
        FrontEnd(kind=flags.features),
        num_workers=flags.workers,
        max_bad_fraction=flags.max_bad_fraction,
    )
    print(summary(store))
    print(f"{store.path} is ready, after {time.monotonic() - started:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.prepare",
        description="Computes the features of a folder of recordings in the layout of "
        "DCASE 2017 Task 4 (class list, training_set.csv ..., audio/) once, into a "
        "store that training reads. Rerunning it redoes nothing that is done.",
        epilog="example: python -m gcrnn_jax.prepare --root ~/dcase2017_task4 "
        "--output ~/store --workers 8",
    )
    parser.add_argument("--root", required=True, help="the folder of the data set")
    parser.add_argument(
        "--output", help="folder of the store (default: one in the user's cache)"
    )
    parser.add_argument(
        "--features",
        choices=("log_mel", "mfcc"),
        default="log_mel",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--workers",
        type=_at_least_one,
        help="parallel processes (default: one per core)",
    )
    parser.add_argument(
        "--max_bad_fraction",
        type=_fraction,
        default=MAX_BAD_FRACTION,
        help="how much of the clips may be missing or broken (default: %(default)s); "
        "they are listed in rejects.csv of the store",
    )
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


def _fraction(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text}")
    return value


def _num_workers(requested: int | None) -> int:
    return -1 if requested is None else requested


if __name__ == "__main__":
    main()
