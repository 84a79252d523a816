"""A report for people: the summary on the terminal, and the data card as Markdown."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gcrnn_jax.checking.card import most_together
from gcrnn_jax.checking.report import Report, Severity
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.errors import escape
from gcrnn_jax.metrics.tables import text_table

NUM_EXAMPLES = 3  # of a kind of finding in the summary; as_dict() has all
_RECORDED = {"rate in Hz": "rates_hz", "channels": "channels", "format": "formats"}
MAX_ABSENT = 20  # classes in no clip, in the table on the screen
_TITLES: tuple[tuple[Severity, str], ...] = (
    ("error", "errors: training or scoring would lose something or go wrong"),
    ("note", "notes: good to know"),
)


def summary(report: Report) -> str:
    """Returns a report in some lines for people; examples of findings, not all."""
    card = report.card
    title = f"{_one_line(card['name'])}: {len(card['classes'])} classes"
    parts = [f"{title}; {_hash(card)}" if card["splits"] else title]
    if splits := card["splits"]:
        parts.append(text_table(*_split_table(splits)))
        if card["classes"]:
            header, rows = _class_table(splits)
            there = [row for row in rows if any(row[1:])]
            if (num_absent := len(rows) - len(there)) > MAX_ABSENT:
                absent = f"({num_absent} classes in no clip)"
                rows = [*there, [absent, *[""] * len(splits)]]
            parts.append(text_table(header, rows))
        pairs = [
            f"{name}: " + "; ".join(f"{a} + {b} {n}" for a, b, n in most)
            for name, split in splits.items()
            if (most := most_together(split, 3))
        ]
        if pairs:
            parts.append("\n".join(["most often together", *pairs]))
    for severity, title in _TITLES:
        if groups := report.of_severity(severity):
            texts = [_group_text(*group) for group in groups.items()]
            parts.append("\n".join([title, *texts]))
    if not report.groups:
        parts.append("nothing found: all is as training and scoring expect it")
    return "\n".join(map(escape, "\n\n".join(parts).split("\n")))


def markdown(report: Report) -> str:
    """Returns the data card for people: what is in the folder, and what to know."""
    card = report.card
    lines = [f"# Data card: {_cell(card['name'])}", "", _cell(_hash(card)), ""]
    if splits := card["splits"]:
        lines += _section("Splits", *_split_table(splits))
        lines += _section("Clips per class", *_class_table(splits))
        recorded = [
            (name, what, ", ".join(f"{value}: {n}" for value, n in split[key].items()))
            for name, split in splits.items()
            for what, key in _RECORDED.items()
            if split.get(key)
        ]
        if recorded:
            header = ("split", "recordings", "which, and how many")
            lines += _section("Recordings", header, recorded)
        pairs = [
            (f"{a} + {b}", name, count)
            for name, split in splits.items()
            for a, b, count in most_together(split, 10)
        ]
        header = ("classes in one clip", "split", "clips")
        lines += _section("Most often together", header, pairs)
    rows = [
        (code.name, code.severity, len(group), code.what)
        for code, group in report.groups.items()
    ]
    lines += _section("Findings", ("code", "severity", "count", "what"), rows)
    if report.groups:  # indented lines are Markdown's way to show text as it is
        texts = "\n".join(_group_text(*group) for group in report.groups.items())
        examples = [f"    {escape(line)}" for line in texts.split("\n")]
        lines += ["Some of each:", "", *examples, ""]
    return "\n".join(lines)


def _hash(card: dict[str, Any]) -> str:
    if card["data_sha256"] is None:
        return f"labels sha256 {card['labels_sha256']} (no recording was read)"
    return f"data sha256 {card['data_sha256']}"


def _split_table(splits: dict[str, Any]) -> tuple[Sequence[str], list[list]]:
    header = ("split", "clips", "labels", "short clips", "events", "found", "readable")
    header += ("hours", "shortest s", "median s", "longest s")
    rows = []
    for name, split in splits.items():
        short = str(split["num_short"])
        if split["num_short"]:
            short += f" ({split['num_short_labels']} labels)"
        row = [name, split["num_clips"], split["num_labels"], short]
        row += [split[f"num_{what}"] for what in ("events", "found", "readable")]
        lengths = split.get("recorded_s") or split["listed_s"]
        if lengths:
            row.append(f"{lengths['sum'] / 3600:.2f}")
            row += [f"{lengths[which]:g}" for which in ("min", "median", "max")]
        rows.append(row + [None] * (len(header) - len(row)))
    return header, rows


def _class_table(splits: dict[str, Any]) -> tuple[Sequence[str], list[list]]:
    counts = [split["clips_per_class"] for split in splits.values()]
    rows = [[name, *(of[name] for of in counts)] for name in counts[0]]
    return ("clips per class", *splits), rows


def _group_text(code: Code, findings: Sequence[Finding]) -> str:
    """Returns a kind and examples: of as many files, or as unlike, as possible."""
    per_path = Counter(finding.path for finding in findings)
    several = len(per_path) > 1
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.path if several else finding.detail, finding)
    keys = [path for path, _ in per_path.most_common()] if several else list(first)
    lines = [f"  {code.name} ({len(findings)}): {code.what}; {code.effect}"]
    for finding in (first[key] for key in keys[:NUM_EXAMPLES]):
        place = f"{finding.path}:{finding.line}" if finding.line else finding.path
        total = per_path[finding.path] if several else 1
        count = f" (1 of {total} there)" if total > 1 else ""
        lines.append(f"    {_one_line(place)}: {_one_line(finding.detail)}{count}")
    if (more := len(per_path) - NUM_EXAMPLES) > 0:
        lines.append(f"    and in {more} more file{'s'[: more > 1]}")
    elif not several and (more := len(findings) - min(len(keys), NUM_EXAMPLES)):
        lines.append(f"    and {more} more there")
    return "\n".join(lines)


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    table = [f"| {' | '.join(map(_cell, line))} |" for line in lines]
    return [f"## {title}", "", *table, ""]


def _cell(value: object) -> str:
    text = "-" if value is None else escape(str(value))
    return html.escape(text, quote=False).replace("|", "\\|")


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")
