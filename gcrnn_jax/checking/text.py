"""A report for people: the summary on the terminal, and the data card as Markdown."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gcrnn_jax.checking.card import most_together
from gcrnn_jax.checking.findings import ERROR, NOTE, Group, Report
from gcrnn_jax.data.event_lists import Reject
from gcrnn_jax.metrics.tables import text_table

_RECORDED = {"rate in Hz": "rates_hz", "channels": "channels", "format": "formats"}
NUM_EXAMPLES = 3  # of a kind of finding in the summary; as_dict() has all


def summary(report: Report) -> str:
    """Returns a report in some lines for people; examples of findings, not all."""
    card = report.card
    parts = [_title(card)]
    if splits := card["splits"]:
        parts.append(text_table(*_split_table(splits)))
        if card["classes"]:
            parts.append(text_table(*_class_table(splits)))
        pairs = [
            f"{name}: " + "; ".join(f"{a} + {b} {n}" for a, b, n in most)
            for name, split in splits.items()
            if (most := most_together(split, 3))
        ]
        if pairs:
            parts.append("\n".join(["most often together", *pairs]))
    for severity, title in (
        (ERROR, "errors: training or scoring would lose something or go wrong"),
        (NOTE, "notes: good to know"),
    ):
        if groups := report.of(severity):
            parts.append("\n".join([title, *map(_group_text, groups)]))
    if not report.groups:
        parts.append("nothing found: all is as training and scoring expect it")
    return "\n".join(map(_printable, "\n\n".join(parts).split("\n")))


def markdown(report: Report) -> str:
    """Returns the data card for people: what is in the folder, and what to know."""
    card = report.card
    lines = [f"# Data card: {_cell(card['name'])}", "", _cell(_hash(card)), ""]
    if splits := card["splits"]:
        lines += ["## Splits", "", *_markdown_table(*_split_table(splits))]
        lines += ["## Clips per class", "", *_markdown_table(*_class_table(splits))]
        pairs = [
            (f"{a} + {b}", name, count)
            for name, split in splits.items()
            for a, b, count in most_together(split, 10)
        ]
        recorded = [
            (name, what, _recorded(split[key]))
            for name, split in splits.items()
            for what, key in _RECORDED.items()
            if split.get(key)
        ]
        if recorded:
            header = ("split", "recordings", "which, and how many")
            lines += ["## Recordings", "", *_markdown_table(header, recorded)]
        header = ("classes in one clip", "split", "clips")
        lines += ["## Most often together", "", *_markdown_table(header, pairs)]
    rows = [
        (group.code, group.kind.severity, len(group.findings), group.kind.what)
        for group in report.groups
    ]
    header = ("code", "severity", "count", "what")
    lines += ["## Findings", "", *_markdown_table(header, rows)]
    if report.groups:  # indented lines are Markdown's way to show text as it is
        texts = [_group_text(group) for group in report.groups]
        shown = "\n".join(texts).split("\n")
        lines += ["Some of each:", "", *(f"    {_printable(line)}" for line in shown)]
        lines.append("")
    return "\n".join(lines)


def _recorded(counts: dict[str, int]) -> str:
    return ", ".join(f"{value}: {count}" for value, count in counts.items())


def _title(card: dict[str, Any]) -> str:
    title = f"{_one_line(card['name'])}: {len(card['classes'])} classes"
    return f"{title}; {_hash(card)}" if card["splits"] else title


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


def _group_text(group: Group) -> str:
    """Returns a kind and examples: of as many files, or as unlike, as possible."""
    findings = group.findings
    per_path = Counter(path for path, *_ in findings)
    several = len(per_path) > 1
    first: dict[str, Reject] = {}
    for finding in findings:
        first.setdefault(finding[0] if several else finding[3], finding)
    keys = [path for path, _ in per_path.most_common()] if several else list(first)
    lines = [
        f"  {group.code} ({len(findings)}): {group.kind.what}; {group.kind.effect}"
    ]
    for path, line, _, detail in (first[key] for key in keys[:NUM_EXAMPLES]):
        place = f"{path}:{line}" if line else path
        is_one_of_many = several and per_path[path] > 1
        count = f" (1 of {per_path[path]} there)" if is_one_of_many else ""
        lines.append(f"    {_one_line(place)}: {_one_line(detail)}{count}")
    if (more := len(per_path) - NUM_EXAMPLES) > 0:
        lines.append(f"    and in {more} more file{'s'[: more > 1]}")
    elif not several and (more := len(findings) - min(len(keys), NUM_EXAMPLES)):
        lines.append(f"    and {more} more there")
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines] + [""]


def _cell(value: object) -> str:
    text = "-" if value is None else _printable(str(value))
    return html.escape(text, quote=False).replace("|", "\\|")


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _printable(text: str) -> str:
    """Escapes what a terminal would act upon or could not show."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
