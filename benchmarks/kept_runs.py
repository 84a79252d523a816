"""What is left of trainings in a few small files, to go on from on another machine."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fold_runs import is_finished
from gcrnn_jax.errors import DataError
from gcrnn_jax.runs import Run
from gcrnn_jax.training.checkpoints import saved_steps

PART_BYTES = 15 << 20
_PARTS = "kept-*"


def keep(
    output: Path, parts: Path, others: Sequence[Path], runs: Sequence[Path], most: int
) -> list[Path]:
    """Writes files of a folder, and what trainings in it need to go on, as parts.

    A finished one can be scored again then, any other goes on after its newest state.

    Args:
        output: The folder.
        parts: Gets files of 15 MiB; earlier ones are removed.
        others: Files that are always kept.
        runs: Folders of trainings, the most valuable first.
        most: Bytes of all files, before they are compressed.

    Returns:
        The runs for which there was no room.
    """
    files, left_out = [*others], []
    for run in runs:
        own = [*_needed(run)]
        if sum(path.stat().st_size for path in [*files, *own]) > most:
            left_out.append(run)
        else:
            files += own
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in files:
            archive.add(path, path.relative_to(output))
    parts.mkdir(parents=True, exist_ok=True)
    for path in parts.glob(_PARTS):
        path.unlink()
    whole = content.getvalue()
    for number, first in enumerate(range(0, len(whole), PART_BYTES)):
        part = whole[first : first + PART_BYTES]
        (parts / _PARTS.replace("*", f"{number:02}")).write_bytes(part)
    return left_out


def _needed(folder: Path) -> Iterator[Path]:
    """The files of a training without which it would be another, or begin again."""
    run = Run.open(folder)
    yield from (path for path in folder.iterdir() if path.is_file())
    length = run.config.training
    epochs = run.config.fusion.epochs(length.num_epochs)
    fused = {epoch * length.steps_per_epoch for epoch in epochs}
    kept = [run.models / str(n) for n in saved_steps(run.models) if n in fused]
    if is_finished(folder):
        yield from folder.glob("results/*/report.html")  # which says that it is
    else:
        kept += [run.states / str(n) for n in saved_steps(run.states)[-1:]]
    for one in kept:
        yield from (path for path in one.rglob("*") if path.is_file())


def take(parts: Path, output: Path) -> None:
    """Puts what `keep` wrote into a folder.

    Raises:
        DataError: There is nothing of it, or it is damaged.
    """
    whole = b"".join(path.read_bytes() for path in sorted(parts.glob(_PARTS)))
    try:
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:gz") as archive:
            archive.extractall(output, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{parts}: expected {_PARTS} of an earlier call, all of them: {error}"
        ) from error
