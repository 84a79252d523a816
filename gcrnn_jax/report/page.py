"""One page of a system's scores, that a browser opens without a network.

Everything is in the file: style, script, data, pictures and sound. What comes from
users, such as names of classes and files, reaches the page as text only: the template
escapes it, the script sets it as text, and the page's policy lets no other script run.
"""

import base64
import hashlib
import importlib.resources
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.data.store import Split
from gcrnn_jax.metrics.bootstrap import Estimate, bootstrap
from gcrnn_jax.metrics.evaluator import Row
from gcrnn_jax.metrics.scoring import clip_counts
from gcrnn_jax.metrics.tables import percent, to_json
from gcrnn_jax.report import curves, examples, thresholds
from gcrnn_jax.report.recordings import Recordings

_SCRIPTS = (
    "scores.js",
    "draw.js",
    "charts.js",
    "sliders.js",
    "player.js",
    "clip.js",
    "examples.js",
    "page.js",
)


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes:
        title: Of the page.
        note: Where its thresholds come from, and what its scores are worth.
        split: That the scores are of.
        rows: The systems side by side.
        chosen: One of them, which the rest of the page is about.
        shown: The cases to show of it.
        front_end: Of the split's features.
        recordings: Where the sound of the clips comes from.
        attention: [n, T, K] of the shown clips, or None.
        attention_note: Whose attention it is, or why there is none.
        curves: Of `training_curves`; None: it is not known which run it was.
    """

    title: str
    note: str
    split: Split
    rows: list[Row]
    chosen: Row
    shown: examples.Shown
    front_end: FrontEnd
    recordings: Recordings
    attention: np.ndarray | None
    attention_note: str
    curves: dict[str, Any] | None

    @property
    def chosen_place(self) -> int:
        """Which of the rows is the chosen one."""
        return [row is self.chosen for row in self.rows].index(True)


def write_page(path: Path, subject: Subject) -> None:
    """Writes the page, whole or not at all.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    make_folder(path.parent)
    text = page(subject).encode("utf-8", "replace")  # a path may be any bytes
    write_atomically(path, [text])


def page(subject: Subject) -> str:
    """The page as the text of an HTML file."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = percent
    style, script = _file("page.css"), "\n".join(map(_file, _SCRIPTS))
    estimates = _estimates(subject)
    content = _content(subject, estimates)
    return environment.from_string(_file("page.html")).render(
        title=subject.title,
        note=subject.note,
        split=subject.split,
        rows=list(zip(subject.rows, estimates, strict=True)),
        chosen=subject.chosen,
        estimates=estimates[subject.chosen_place],
        has_curves=subject.curves is not None,
        watched=subject.curves and subject.curves["split"],
        threshold_note=_threshold_note(subject),
        tag_clips=_how_many(content["tagging"], subject.split),
        event_clips=_how_many(content["detection"], subject.split),
        attention_note=subject.attention_note,
        shown=subject.shown,
        per_class=examples.PER_CLASS,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_json(content),
    )


def _threshold_note(subject: Subject) -> str:
    """What the sliders begin with, and what that is worth."""
    start = "Move a threshold, and the scores are computed again, here in the page. "
    if subject.chosen.postprocessing is not None:
        return start + "They begin with those that the scores above were made by."
    return start + (
        "The scores above took the thresholds of each half of the clips from the other "
        "half. The sliders begin with those found on all of these clips, which are for "
        "new recordings: scored on the clips they were found on, they flatter."
    )


def _how_many(part: dict[str, Any] | None, split: Split) -> str:
    """Which clips a part of the page is about."""
    if part is None:
        return ""
    if part["clips"] == len(split):
        return f"all {len(split)} clips"
    few = f"{part['clips']} of {len(split)} clips"
    return f"{few}, drawn at random: the page holds no more"


def _content(subject: Subject, estimates: list[dict[str, Estimate]]) -> dict[str, Any]:
    chosen, split = subject.chosen, subject.split
    scored_by = (chosen.posteriors, split, chosen.fitted_postprocessing)
    of_examples = examples.examples_content(
        subject.shown,
        chosen,
        split,
        front_end=subject.front_end,
        recordings=subject.recordings,
        attention=subject.attention,
    )
    bytes_a_clip = chosen.posteriors.frame[0].size
    shared = thresholds.shared_clips(len(split), bytes_a_clip).tolist()
    for clip, content in zip(subject.shown.clips, of_examples["clips"], strict=True):
        content["place"] = shared.index(clip) if clip in shared else -1
    return {
        "classes": split.class_names,
        "systems": [
            {"name": row.system, "thresholds": row.thresholds, "scores": found}
            for row, found in zip(subject.rows, estimates, strict=True)
        ],
        "chosen": subject.chosen_place,
        "scores": chosen.scores.details,
        "curves": subject.curves,
        "precisionRecall": [
            curves.precision_recall(
                split.weak_label[:, k], chosen.posteriors.clip[:, k]
            )
            for k in range(len(split.class_names))
        ],
        "tagging": thresholds.tag_content(*scored_by),
        "detection": thresholds.event_content(*scored_by),
        "examples": of_examples,
    }


def _estimates(subject: Subject) -> list[dict[str, Estimate]]:
    """Scores of every row by name, with the intervals of the same draws of clips."""
    counts = [
        clip_counts(r.decisions, r.posteriors, subject.split) for r in subject.rows
    ]
    found = bootstrap(counts)
    return [found.estimates(number) for number in range(len(counts))]


def _file(name: str) -> str:
    folder = importlib.resources.files("gcrnn_jax.report") / "html"
    return (folder / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """What the page's policy knows its own script and style by."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _json(content: Any) -> str:
    """JSON that nothing in it can end early, whatever the names in it are."""
    text = json.dumps(to_json(content), allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # the rest is ASCII
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
