"""What a store is without: the file that lists it, and how much it may be."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.atomic_files import write_atomically
from gcrnn_jax.data.findings import Code, Finding

REJECTS = "rejects.csv"
# no clip is lost by them, nor by what is only noted
_HARMLESS = (Code.UNKNOWN_CLIP, Code.LEVEL, Code.CANCELLED, Code.CROPPED)


def num_lost(findings: Sequence[Finding]) -> int:
    """How many clips or rows of lists are lost by what was found."""
    return sum(map(_loses, findings))


def _loses(finding: Finding) -> bool:
    return finding.code.severity != "note" and finding.code not in _HARMLESS


def write_rejects(folder: Path, findings: Sequence[Finding]) -> None:
    """Writes rejects.csv: path, line, code and detail of each.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "line", "code", "detail"])
    writer.writerows((f.path, f.line, f.code.name, f.detail) for f in findings)
    # A name that is not UTF-8 is written as the bytes that it is.
    content = text.getvalue().encode("utf-8", "surrogateescape")
    write_atomically(folder / REJECTS, [content], shared=True)


class LossLimit(NamedTuple):
    """How much of the listed clips and rows may be unusable.

    Attributes:
        max_fraction: Of them.
        num_listed: Clips and rows.
    """

    max_fraction: float
    num_listed: int

    @classmethod
    def of(
        cls, num_clips: int, findings: Sequence[Finding], fraction: float
    ) -> "LossLimit":
        """Of so many of the clips of all splits and the rows that were left out."""
        return cls(fraction, num_clips + num_lost(findings))

    def is_exceeded(self, num_bad: int) -> bool:
        """Whether so many are too many."""
        return num_bad > self.max_fraction * self.num_listed

    def message(
        self,
        num_bad: int,
        findings: Sequence[Finding],
        *,
        listed_in: Path | None,
        num_pending: int = 0,
    ) -> str:
        """What is lost, with three examples, and where all of it is listed, if it is.

        Args:
            num_bad: Clips and rows that are lost.
            findings: Of them, those that are known.
            listed_in: The folder of their rejects.csv.
            num_pending: Recordings that were not looked at yet.
        """
        what = f"{num_bad} of {self.num_listed} clips cannot be used, more than the "
        what += f"allowed fraction of {self.max_fraction:g} (max_bad_fraction)"
        examples = self.examples(findings)
        where = f"all are in {listed_in / REJECTS}" if listed_in else "such as"
        where += f": {examples}" if examples else ""
        left = f"; {num_pending} recordings were not looked at yet"
        return f"{what}; {where}{left if num_pending else ''}"

    @staticmethod
    def examples(findings: Sequence[Finding]) -> str:
        """The first three that cost a clip or a row, or nothing."""
        return "; ".join(
            f"{finding.path}:{finding.line or ''}".removesuffix(":")
            + f": {finding.code.name}: {finding.detail}"
            for finding in [*filter(_loses, findings)][:3]
        )
