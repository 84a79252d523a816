"""All findings of a data set by kind, with a card of what it holds."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gcrnn_jax.data.findings import Code, Finding

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
        return {
            "card": self.card,
            "findings": [
                {
                    "code": code.name,
                    "severity": code.severity,
                    "what": code.what,
                    "effect": code.effect,
                    "count": len(group),
                    "places": [
                        {"path": f.path, "line": f.line or None, "detail": f.detail}
                        for f in group
                    ],
                }
                for code, group in self.groups.items()
            ],
        }


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
    for finding in findings:
        path = os.path.relpath(finding.path, root)
        groups[finding.code].append(replace(finding, path=path))
    for group in groups.values():
        group.sort(key=lambda finding: (finding.path, finding.line, finding.detail))
    return {code: group for code, group in groups.items() if group}
