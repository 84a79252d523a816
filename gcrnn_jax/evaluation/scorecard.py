"""All figures of one system, or of two side by side, from their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gcrnn_jax.data.clips.division import source_of
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.evaluation.figures import Draws, draw_notes, groups_of
from gcrnn_jax.evaluation.recordings import read_groups
from gcrnn_jax.evaluation.reference import Reference, read_reference, subset
from gcrnn_jax.evaluation.results import (
    DECISIONS,
    Choice,
    Result,
    class_names_of,
    compare,
    score_system,
)
from gcrnn_jax.evaluation.systems import System, read_system, with_scores
from gcrnn_jax.metrics.uncertainty import Figure


@dataclass(frozen=True)
class Files:
    """What is scored.

    Attributes:
        reference: What is there; see `read_reference`.
        estimated: What a system found; see `read_system`.
        scores: Of the same system, where `estimated` is of events alone.
        against: Of another system; as `estimated`.
        recordings: Those that are scored; see `read_reference`.
        durations: Their lengths.
        classes: Those that are scored.
        groups: Recordings that are drawn together; see `read_groups`. None: clips that
            were cut from one recording, by their names.
        threshold: Of scores; see `read_system`.
        leaves_out: Whether recordings of which a system has nothing are left out, for
            both; they count as without events otherwise.
    """

    reference: Path
    estimated: Path
    scores: Path | None = None
    against: Path | None = None
    recordings: Path | None = None
    durations: Path | None = None
    classes: Path | None = None
    groups: str | None = None
    threshold: float | None = None
    leaves_out: bool = False


@dataclass(frozen=True, eq=False)
class Scorecard:
    """The figures, and what they are of.

    Attributes:
        reference: What is there, of the recordings that count.
        results: Of the system, and of the one that it is compared with, if any.
        differences: Of the first less the second.
        num_recordings: That were to be scored.
        missing: Those of which the first system, or the second, has nothing.
        missing_of: Those of which each system has nothing.
        leaves_out: Whether those do not count.
    """

    reference: Reference
    results: Sequence[Result]
    differences: Sequence[Figure]
    num_recordings: int
    missing: Sequence[str]
    missing_of: Sequence[Sequence[str]]
    leaves_out: bool

    def coverage(self) -> str:
        """On how many recordings the figures are."""
        number, total = self.num_covered, self.num_recordings
        if not self.missing:
            return f"on all {total:,} recordings"
        others = f"the others (first {self.missing[0]})"
        if self.leaves_out:
            return f"on {number:,} of {total:,} recordings: {others} are left out"
        with_estimates = f"{number:,} of them with estimates"
        if len(self.results) > 1:
            with_estimates += " of both systems (" + ", ".join(
                f"{count:,} of {result.system.path}"
                for count, result in zip(self.num_covered_by, self.results, strict=True)
            )
            with_estimates += ")"
        return f"on {total:,} recordings, {with_estimates}: {others} count as empty"

    @property
    def num_covered(self) -> int:
        """Recordings of which every system has estimates."""
        return self.num_recordings - len(self.missing)

    @property
    def num_covered_by(self) -> list[int]:
        """Recordings of which each system has estimates."""
        return [self.num_recordings - len(missing) for missing in self.missing_of]

    def notes(self) -> list[str]:
        """What was merged, dropped, assumed, and how sure intervals are."""
        notes = [*self.reference.notes]
        for result in self.results:
            notes += [*result.system.notes, *result.notes]
        figures = [figure for result in self.results for figure in result.figures]
        notes += draw_notes(self.results[0].draws, figures)
        return list(dict.fromkeys(notes))


def score_files(
    files: Files, choice: Choice, *, num_draws: int = 1000, seed: int = 0
) -> Scorecard:
    """Reads, scores and compares systems.

    Args:
        files: What is scored.
        choice: Which figures.
        num_draws: Of the bootstrap; 0: no intervals.
        seed: Of the draws.

    Raises:
        DataError: A file cannot be read, or files do not belong together.
        ConfigError: All figures are of scores, and the system has none.
    """
    reference = read_reference(
        files.reference,
        recordings=files.recordings,
        durations=files.durations,
        classes=files.classes,
    )
    systems = _read(files, reference)
    _check_kinds(choice, systems[0])
    number = len(reference.events)
    missing_of = [system.missing for system in systems]
    lacking = {name for missing in missing_of for name in missing}
    missing = [name for name in reference.events if name in lacking]
    if files.leaves_out and missing:
        kept = [name for name in reference.events if name not in lacking]
        if not kept:
            raise DataError("no recording has estimates of both systems")
        reference = subset(reference, kept)
        systems = _read(files, reference)
    groups = [source_of(clip_id_of_file(name)) for name in reference.events]
    if files.groups is not None:
        names = reference.names
        groups = read_groups(files.groups, files.reference, names)
    draws = Draws(groups_of(groups), num_draws, seed)
    labels = [name for one in systems for name in class_names_of(reference, one)]
    results = [score_system(one, reference, draws, choice, labels) for one in systems]
    found = compare(*results) if len(results) > 1 else []
    lacks = missing, missing_of
    return Scorecard(reference, results, found, number, *lacks, files.leaves_out)


def _check_kinds(choice: Choice, system: System) -> None:
    if system.tables is None and not {*choice.kinds} & {*DECISIONS}:
        raise ConfigError(
            f"--metrics: {', '.join(choice.kinds)} need scores of frames, and "
            f"{system.path} has events alone: score tables or posteriors may be given "
            "as --scores"
        )


def _read(files: Files, reference: Reference) -> list[System]:
    own = read_system(files.estimated, reference, files.threshold)
    if files.scores is not None:
        own = with_scores(own, files.scores, reference)
    if files.against is None:
        return [own]
    return [own, read_system(files.against, reference, files.threshold)]
