"""A folder of recordings and lists -> what is wrong with it, and what it holds.

    python -m gcrnn_jax.check --root ~/dcase2017_task4

Nothing in the folder is changed.
"""

import argparse
import html
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcrnn_jax.errors import DataError, run_command

if TYPE_CHECKING:
    from gcrnn_jax.data.findings import Group

NUM_EXAMPLES = 3  # of a kind of finding in the summary; check.json has all
CHECK, CARD = "check.json", "data_card.md"

EXAMPLES = """\
examples:
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --output ~/checked
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --lists-only

exit code: 0 if training and scoring will use all that is there as it says, 65 if
something would be lost or go wrong; the summary says what
"""


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes:
        root: The folder.
        groups: Findings by kind, errors first.
        card: What is in it; see `gcrnn_jax.data.data_card`.
    """

    root: Path
    groups: "list[Group]"
    card: dict[str, Any]

    def of(self, severity: str) -> "list[Group]":
        """Returns the groups of one severity, "error" or "note"."""
        return [group for group in self.groups if group.kind.severity == severity]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON can hold it."""
        return {
            "card": self.card,
            "findings": [
                {
                    "code": group.code,
                    "severity": group.kind.severity,
                    "what": group.kind.what,
                    "effect": group.kind.effect,
                    "count": len(group.findings),
                    "places": [
                        {"path": path, "line": line or None, "detail": detail}
                        for path, line, _, detail in group.findings
                    ],
                }
                for group in self.groups
            ],
        }


def check(
    root: str | Path, *, lists_only: bool = False, num_workers: int | None = None
) -> Report:
    """Looks for whatever training or scoring would stumble over.

    Args:
        root: In the layout of DCASE 2017 Task 4; see `gcrnn_jax.data.folder`.
        lists_only: No recording is decoded.
        num_workers: Processes. None: one per core that this process may use.

    Raises:
        DataError: There is no such folder.
        GcrnnError: A worker died.
    """
    from gcrnn_jax.audio.front_end import FrontEnd
    from gcrnn_jax.data.check_lists import check_lists
    from gcrnn_jax.data.check_recordings import (
        check_ends,
        check_names,
        check_recordings,
        hear_all,
    )
    from gcrnn_jax.data.data_card import data_card
    from gcrnn_jax.data.event_lists import Reject
    from gcrnn_jax.data.findings import grouped
    from gcrnn_jax.data.folder import find_splits
    from gcrnn_jax.progress import progress

    findings: list[Reject] = []
    dataset = find_splits(root, findings)
    if lists_only:
        findings = [
            (path, line, "LISTS_ALONE" if code == "NO_RECORDINGS" else code, detail)
            for path, line, code, detail in findings
        ]
    lists = check_lists(dataset)
    findings += lists.findings
    findings += check_names(dataset, is_error=not lists_only)
    recordings = dict.fromkeys(
        path
        for split in dataset.splits.values()
        for path in split.recordings
        if path is not None
    )
    heard = {}
    if recordings and not lists_only:
        cores = num_workers or len(os.sched_getaffinity(0))
        results = hear_all(dataset.root, recordings, cores)
        shown = progress(
            results, label="checking", unit="recordings", total=len(recordings)
        )
        heard = dict(zip(recordings, shown, strict=True))
        findings += check_recordings(dataset, heard, FrontEnd())
    findings += check_ends(dataset, lists.events, heard)
    card = data_card(dataset, lists.events, heard or None)
    return Report(dataset.root, grouped(dataset.root, findings), card)


def summary(report: Report) -> str:
    """Returns a report in some lines for people; examples of findings, not all."""
    from gcrnn_jax.data.data_card import most_together
    from gcrnn_jax.metrics.tables import text_table

    card = report.card
    parts = [f"{card['name']}: {len(card['classes'])} classes; {_hash(card)}"]
    if splits := card["splits"]:
        parts.append(text_table(*_split_table(splits)))
        if card["classes"]:
            parts.append(text_table(*_class_table(splits)))
        pairs = [
            f"{name}: "
            + "; ".join(f"{a} + {b} {n}" for a, b, n in most_together(split, 3))
            for name, split in splits.items()
            if most_together(split, 1)
        ]
        if pairs:
            parts.append("\n".join(["most often together", *pairs]))
    for severity, title in (
        ("error", "errors: training or scoring would lose something or go wrong"),
        ("note", "notes: good to know"),
    ):
        groups = report.of(severity)
        parts.append("\n".join([title, *map(_group_text, groups)] if groups else []))
    if not report.groups:
        parts.append("nothing found: all is as training and scoring expect it")
    return _printable("\n\n".join(part for part in parts if part))


def markdown(report: Report) -> str:
    """Returns the data card for people: what is in the folder, and what to know."""
    from gcrnn_jax.data.data_card import most_together

    card, lines = report.card, []
    lines += [f"# Data card: {_cell(card['name'])}", ""]
    lines += [_hash(card), ""]
    if splits := card["splits"]:
        lines += ["## Splits", "", *_markdown_table(*_split_table(splits))]
        lines += ["## Clips per class", "", *_markdown_table(*_class_table(splits))]
        pairs = [
            (f"{a} + {b}", name, count)
            for name, split in splits.items()
            for a, b, count in most_together(split, 10)
        ]
        header = ("classes in one clip", "split", "clips")
        lines += ["## Most often together", "", *_markdown_table(header, pairs)]
    rows = [
        (group.code, group.kind.severity, len(group.findings), group.kind.what)
        for group in report.groups
    ]
    header = ("code", "severity", "count", "what")
    lines += ["## Findings", "", *_markdown_table(header, rows)]
    return "\n".join(lines)


def _hash(card: dict[str, Any]) -> str:
    if card["data_sha256"] is None:
        return f"labels sha256 {card['labels_sha256']} (no recording was read)"
    return f"data sha256 {card['data_sha256']}"


def _split_table(splits: dict[str, Any]) -> tuple[Sequence[str], list[list]]:
    header = ("split", "clips", "labels", "events", "hours", "found", "readable")
    rows = []
    for name, split in splits.items():
        lengths = split.get("recorded_s") or split["listed_s"]
        hours = f"{lengths['sum'] / 3600:.2f}" if lengths else None
        figures = [split[f"num_{what}"] for what in ("clips", "labels", "events")]
        rows.append([name, *figures, hours, split["num_found"], split["num_readable"]])
    return header, rows


def _class_table(splits: dict[str, Any]) -> tuple[Sequence[str], list[list]]:
    counts = [split["clips_per_class"] for split in splits.values()]
    rows = [[name, *(of[name] for of in counts)] for name in counts[0]]
    return ("clips per class", *splits), rows


def _group_text(group: "Group") -> str:
    """Returns a kind and its first examples, of as many files as possible."""
    findings = group.findings
    per_path = Counter(path for path, *_ in findings)
    key = 0 if len(per_path) > 1 else 3  # of each path, or of each detail, the first
    first = {finding[key]: finding for finding in reversed(findings)}
    order = (path for path, _ in per_path.most_common())
    keys = order if len(per_path) > 1 else dict.fromkeys(f[3] for f in findings)
    examples = [first[one] for one in itertools.islice(keys, NUM_EXAMPLES)]
    lines = [
        f"  {group.code} ({len(findings)}): {group.kind.what}; {group.kind.effect}"
    ]
    for path, line, _, detail in examples:
        place = f"{path}:{line}" if line else path
        more = per_path[path] - 1 if len(per_path) > 1 else 0
        others = f" (and {more} more there)" if more else ""
        lines.append(f"    {place}: {detail}{others}")
    if len(per_path) > len(examples):
        lines.append(f"    and in {len(per_path) - len(examples)} more files")
    elif len(per_path) == 1 and len(findings) > len(examples):
        lines.append(f"    and {len(findings) - len(examples)} more there")
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines] + [""]


def _cell(value: object) -> str:
    text = "-" if value is None else _printable(str(value))
    return html.escape(text, quote=False).replace("|", "\\|")


def _printable(text: str) -> str:
    """Escapes what a terminal would act upon or could not show."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1]
        for char in text
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with the exit code of its error, if any."""
    flags = _parser().parse_args(argv)
    run_command(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> None:
    report = check(flags.root, lists_only=flags.lists_only, num_workers=flags.workers)
    print(summary(report))
    if flags.output is not None:
        from gcrnn_jax.data.event_lists import write_text
        from gcrnn_jax.metrics.tables import json_text

        output = Path(flags.output)
        write_text(output / CHECK, json_text(report.as_dict()))
        write_text(output / CARD, markdown(report))
        print(f"\n{output / CHECK} has all findings, {output / CARD} the data card")
    if errors := report.of("error"):
        counts = ", ".join(f"{group.code} {len(group.findings)}" for group in errors)
        raise DataError(f"{flags.root}: something would be lost or wrong: {counts}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.check",
        description="Looks for what is wrong with a folder of recordings and lists in "
        "the layout of DCASE 2017 Task 4: missing, extra, broken, repeated, silent and "
        "clipped recordings, unknown labels, overlapping events, clips or sources in "
        "two splits, and more. Prints a summary; changes nothing in the folder.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", required=True, help="the folder of the data set")
    parser.add_argument(
        "--output",
        help=f"folder for {CHECK}, all findings and figures, and {CARD}, for people",
    )
    parser.add_argument(
        "--lists-only",
        "--lists_only",
        action="store_true",
        help="decode no recording; missing ones are found all the same",
    )
    parser.add_argument(
        "--workers",
        type=_at_least_one,
        help="parallel processes (default: one per core)",
    )
    return parser


def _at_least_one(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


if __name__ == "__main__":
    main()
