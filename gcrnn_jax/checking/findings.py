"""What can be wrong with a data set, how bad it is, and what comes of it.

A finding is a `Reject`: path, line (0: of no one line), code and detail. Its code says
the rest.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gcrnn_jax.data.event_lists import Reject

ERROR, NOTE = "error", "note"


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: ERROR where training or scoring would lose something or go wrong.
        what: What was found, after a count.
        effect: What comes of it.
    """

    severity: str
    what: str
    effect: str


class Group(NamedTuple):
    """All findings of one kind."""

    code: str
    kind: Kind
    findings: list[Reject]


_ROW_LOST = "the row is not used"
_CLIP_LOST = "the clip is not used, in training nor in scores"

KINDS = {
    # the folder
    "CLASS_LIST": Kind(
        ERROR,
        "class lists missing, unreadable or too many",
        "labels cannot be told right from wrong",
    ),
    "NO_SPLIT": Kind(ERROR, "no list of clips", "there is nothing to train on"),
    "SPLIT_MISSING": Kind(ERROR, "splits missing", "cannot be trained and scored on"),
    "FOLDER": Kind(ERROR, "folders that cannot be read", "recordings in it are lost"),
    "UNREADABLE": Kind(ERROR, "lists that cannot be read", "all they say is lost"),
    "NO_ROW": Kind(ERROR, "lists without a usable row", "prepare refuses them"),
    # rows of lists
    "BAD_ROW": Kind(ERROR, "rows of another form", _ROW_LOST),
    "BAD_TIME": Kind(ERROR, "rows whose times are none", _ROW_LOST),
    "UNKNOWN_LABEL": Kind(ERROR, "rows of unknown classes", _ROW_LOST),
    "UNKNOWN_CLIP": Kind(
        ERROR, "events of clips that their split does not list", "they are not scored"
    ),
    "DUPLICATE": Kind(NOTE, "rows of a clip or label again", "labels are united"),
    "NAMES_DIFFER": Kind(
        NOTE, "rows whose names are not those of their ids", "the ids count"
    ),
    "LABELS_DIFFER": Kind(
        ERROR,
        "clips with other labels in the weak list than in the clip list",
        "training takes the clip list's, official scores the weak list's",
    ),
    "UNLABELLED": Kind(NOTE, "clips without a label", "they train as having no class"),
    # events
    "ZERO_LENGTH": Kind(
        ERROR, "events of no length", "counted as one second, or as nothing"
    ),
    "AFTER_END": Kind(
        ERROR, "events after the end of their clip", "always counted as missed"
    ),
    "BEYOND_END": Kind(
        NOTE, "events that outlast their clip", "what is beyond counts as missed"
    ),
    "EVENT_UNLABELLED": Kind(
        ERROR,
        "events whose class is not among their clip's labels",
        "detecting it is right and tagging it is wrong",
    ),
    "NO_TIMES": Kind(
        NOTE,
        "rows that say what but not when (`0 0 label`)",
        "no event; their clips are scored all the same",
    ),
    "NO_EVENT": Kind(
        NOTE,
        "labelled clips without any event that has times",
        "detecting their classes counts as a false alarm",
    ),
    "LABEL_WITHOUT_EVENT": Kind(
        NOTE,
        "labels of clips that the strong list does not mention",
        "detecting them counts as a false alarm",
    ),
    "OVERLAP": Kind(
        NOTE,
        "pairs of clip and class whose events overlap",
        "counted once a second here; other tools refuse such lists",
    ),
    "DUPLICATE_EVENT": Kind(
        NOTE, "event rows that occur again", "counted once a second here"
    ),
    # splits and classes
    "SHARED_CLIP": Kind(ERROR, "clips in two splits", "prepare refuses them"),
    "SHARED_SOURCE": Kind(
        ERROR, "sources with clips in two splits", "scores are of what was trained on"
    ),
    "CLASS_UNTRAINED": Kind(
        ERROR, "classes scored but in no training clip", "they cannot be learnt"
    ),
    "CLASS_EMPTY": Kind(NOTE, "classes in no clip of a split", "they have no score"),
    "SHORT_CLIP": Kind(
        NOTE, "clips listed as shorter than most", "padded, and the padding masked"
    ),
    # recordings
    "NO_RECORDINGS": Kind(ERROR, "places with lists but no recordings", _CLIP_LOST),
    "LISTS_ALONE": Kind(
        NOTE, "places with lists but no recordings", "the lists alone were checked"
    ),
    "MISSING": Kind(ERROR, "clips without a recording", _CLIP_LOST),
    "NOT_REGULAR": Kind(ERROR, "recordings that are no regular files", _CLIP_LOST),
    "DENIED": Kind(ERROR, "recordings that may not be read", _CLIP_LOST),
    "EMPTY": Kind(ERROR, "recordings without a sample", _CLIP_LOST),
    "FORMAT": Kind(ERROR, "recordings of no known format", _CLIP_LOST),
    "CORRUPT": Kind(ERROR, "recordings that cannot be decoded to the end", _CLIP_LOST),
    "TRUNCATED": Kind(ERROR, "recordings whose end is missing", _CLIP_LOST),
    "NONFINITE": Kind(ERROR, "recordings with NaN or infinite samples", _CLIP_LOST),
    "RATE": Kind(ERROR, "recordings of a rate that cannot be used", _CLIP_LOST),
    "CHANNELS": Kind(ERROR, "recordings of too many channels", _CLIP_LOST),
    "TOO_SHORT": Kind(ERROR, "recordings shorter than one frame", _CLIP_LOST),
    "EXTRA": Kind(NOTE, "files that no list names", "not used"),
    "SEVERAL": Kind(NOTE, "clips with several recordings", "the first is used"),
    "SILENT": Kind(
        ERROR, "labelled recordings in which nothing is heard", "they train on silence"
    ),
    "CLIPPED": Kind(NOTE, "clipped recordings", "distorted, yet used"),
    "SHORT_RECORDING": Kind(
        NOTE, "recordings shorter than their list says", "padding is masked"
    ),
    "LONG_RECORDING": Kind(
        ERROR,
        "recordings longer than their list says",
        "used from their start, which may not be where the label is",
    ),
    "CROPPED": Kind(
        NOTE,
        "recordings longer than the network's input",
        "what is beyond front_end.clip_s is not used",
    ),
    "SAME_AUDIO": Kind(
        NOTE,
        "recordings with the same bytes as another of their split",
        "each is used",
    ),
    "SAME_AUDIO_OTHER_LABELS": Kind(
        ERROR,
        "recordings with the same bytes as another with other labels",
        "one of the two labels is wrong",
    ),
    "SHARED_AUDIO": Kind(
        ERROR,
        "recordings with the same bytes as one of another split",
        "scores are of what was trained on",
    ),
    # files as other tools see them
    "ENCODING": Kind(ERROR, "lists in another encoding than UTF-8", _ROW_LOST),
    "BYTE_ORDER_MARK": Kind(
        NOTE, "lists that begin with a byte order mark", "read here; not everywhere"
    ),
    "LINE_ENDS": Kind(
        NOTE, "lists with Windows or old Mac line ends", "read here; not everywhere"
    ),
    "UNKNOWN_LIST": Kind(NOTE, "lists of no known split", "not read"),
}


@dataclass(frozen=True)
class Report:
    """What was found in a folder.

    Attributes:
        root: The folder.
        groups: Findings by kind, errors first.
        card: What is in it; see `gcrnn_jax.checking.card`.
    """

    root: Path
    groups: list[Group]
    card: dict[str, Any]

    def of(self, severity: str) -> list[Group]:
        """Returns the groups of one severity, ERROR or NOTE."""
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


def grouped(root: Path, findings: Iterable[Reject]) -> list[Group]:
    """Groups findings by kind, errors first, each by file and line.

    Args:
        root: What the paths of the result are relative to.
        findings: In any order.
    """
    by_code: dict[str, list[Reject]] = {}
    for path, line, code, detail in findings:
        place = os.path.relpath(path, root)
        by_code.setdefault(code, []).append((place, line, code, detail))
    groups = [
        Group(code, kind, sorted(by_code[code]))
        for code, kind in KINDS.items()
        if code in by_code
    ]
    return sorted(groups, key=lambda group: group.kind.severity != ERROR)
