"""All findings of a data set by kind, with a card of what it holds."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.metrics.tables import json_text

Severity = Literal["error", "note"]


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes:
        root: The folder.
        groups: Findings by kind, errors first; paths are relative to the folder.
        card: What is in it; see `gcrnn_jax.checking.card`.
    """

    root: Path
    groups: dict[Code, list[Finding]]
    card: dict[str, Any]

    def of_severity(self, severity: Severity) -> dict[Code, list[Finding]]:
        """Returns the groups of one severity."""
        groups = self.groups.items()
        return {code: group for code, group in groups if code.severity == severity}

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON can hold it."""
        groups = self.groups.items()
        findings = [
            {**_kind(code, group), "places": [*map(_place, group)]}
            for code, group in groups
        ]
        return {"card": self.card, "findings": findings}

    def json_parts(self) -> Iterator[str]:
        """Yields the JSON text of `as_dict`, which may be of millions of findings."""
        yield json_text({"card": self.card}).removesuffix("\n}\n")
        yield ',\n  "findings": ['
        for number, (code, group) in enumerate(self.groups.items()):
            yield "," * (number > 0) + "\n    " + json.dumps(_kind(code, group))[:-1]
            yield ', "places": ['
            for line, finding in enumerate(group):
                yield "," * (line > 0) + "\n      " + json.dumps(_place(finding))
            yield "\n    ]}"
        yield "\n  ]\n}\n"


def _kind(code: Code, group: list[Finding]) -> dict[str, Any]:
    about = {"severity": code.severity, "what": code.what, "effect": code.effect}
    return {"code": code.name, **about, "count": len(group)}


def _place(finding: Finding) -> dict[str, Any]:
    line = finding.line or None
    return {"path": finding.path, "line": line, "detail": finding.detail}


def group_findings(
    root: Path, findings: Iterable[Finding]
) -> dict[Code, list[Finding]]:
    """Groups findings by kind, errors first, each by file and line.

    Args:
        root: What the paths of the result are relative to.
        findings: In any order.
    """
    codes = sorted(Code, key=lambda code: code.severity != "error")
    groups: dict[Code, list[Finding]] = {code: [] for code in codes}
    relative: dict[str, str] = {}  # most findings are of a few lists
    for finding in findings:
        if (path := relative.get(finding.path)) is None:
            path = relative[finding.path] = os.path.relpath(finding.path, root)
        groups[finding.code].append(replace(finding, path=path))
    for group in groups.values():
        group.sort(key=lambda finding: (finding.path, finding.line, finding.detail))
    return {code: group for code, group in groups.items() if group}
