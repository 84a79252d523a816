"""Posteriors of several epochs and systems, fused; which systems, chosen on a split."""

from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import (
    PosteriorSet,
    first_difference,
    fuse_posteriors,
)
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference import TrainedModel
from gcrnn_jax.metrics.ensemble import choose_members
from gcrnn_jax.runs.kept_posteriors import predict_fused
from gcrnn_jax.runs.run import Run
from gcrnn_jax.training.fusion import Fusion


def fuse_systems(
    systems: Sequence[Path],
    *,
    epochs: Fusion | None = None,
    split: str | None = None,
    path: Path | None = None,
) -> PosteriorSet:
    """The mean posteriors of systems, each a posterior file or the folder of a run.

    Args:
        systems: Files that a run or `fuse` wrote, and folders of runs; a system with
            more weight is there more than once.
        epochs: Of the runs; None: each run's own `fusion`.
        split: Of the runs' data; None: the one that they report.
        path: Where the mean is saved; None: nowhere.

    Raises:
        DataError: The systems are not of the same clips and classes.
    """
    posteriors = {
        system: fuse_epochs(system, epochs=epochs, split=split)[0]
        if system.is_dir()
        else PosteriorSet.load(system)
        for system in dict.fromkeys(systems)
    }
    failpoint("fuse.write")
    return fuse_posteriors([posteriors[system] for system in systems], path=path)


def choose_runs(
    runs: Sequence[Path], *, epochs: Fusion | None = None, split: str
) -> list[Path]:
    """Runs to fuse, those with more weight more than once, chosen on a split.

    Raises:
        ConfigError: A system is no run, or its data have no such split.
        DataError: The runs differ in the clips of that split.
    """
    for path in runs:
        if not path.is_dir():
            what = "is a file" if path.exists() else "is not there"
            raise ConfigError(f"--choose needs the folders of runs: {path} {what}")
    members = [fuse_epochs(path, epochs=epochs, split=split) for path in runs]
    first_split = members[0][1]
    for path, (_, other) in zip(runs, members, strict=True):
        if difference := first_difference(first_split.clip_ids, other.clip_ids):
            raise DataError(f"{path}: another {split} than {runs[0]}: {difference}")
    counts = choose_members([posteriors for posteriors, _ in members], first_split)
    return [path for path, n in zip(runs, counts, strict=True) for _ in range(n)]


def fuse_epochs(
    folder: Path, *, epochs: Fusion | None, split: str | None
) -> tuple[PosteriorSet, Split]:
    """The mean posteriors of a run's epochs, and the split that they are of.

    Of an ensemble's run the mean of its members'.
    """
    failpoint("fuse.system")
    run = Run.open(folder)
    if run.members:
        folders = [member.folder for member in run.members]
        parts = [fuse_epochs(one, epochs=epochs, split=split) for one in folders]
        return fuse_posteriors([posteriors for posteriors, _ in parts]), parts[0][1]
    store = run.open_store()
    model = TrainedModel.create(run.card(store), None)
    part = store.find_split(split)
    return predict_fused(run, epochs or run.config.fusion, part, model), part
