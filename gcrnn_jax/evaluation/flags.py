"""The flags of what is scored, and by which figures."""

import argparse
import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any

from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.errors import ConfigError, DataError, WorkdirError
from gcrnn_jax.evaluation.results import DECISIONS, KINDS, OF_SCORES, Choice
from gcrnn_jax.evaluation.scorecard import Files
from gcrnn_jax.fields import user_path
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.intersection import Intersection
from gcrnn_jax.metrics.polyphonic import PsdsParameters

_OF_TASK = {  # what a list of tags has, or one of events
    "tagging": ("tagging", "ranking", "calibration"),
    "detection": ("segment", "event", "intersection", "psds", "best"),
    "both": KINDS,
}
# Flags that only one kind of what is scored has, and the values that say nothing.
_OF_LISTS = {
    **dict.fromkeys(("reference", "estimated", "scores", "against"), None),
    **dict.fromkeys(("recordings", "durations", "classes", "threshold"), None),
    "missing": "silent",
}
_OF_SPLITS = dict.fromkeys(("store", "root", "split", "fit"), None)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds them, in two groups."""
    add = parser.add_argument_group("with --reference and --estimated").add_argument
    path = dict[str, Any](type=user_path)
    what = "scores of the same system, where --estimated is a list of events"
    add("--scores", metavar="FOLDER|NPZ", help=what, **path)
    what = "another system to compare with, in any form that --estimated has"
    add("--against", metavar="LIST", help=what, **path)
    what = (
        "the recordings that are scored; default: those of --durations or --reference"
    )
    add("--recordings", metavar="LIST", help=what, **path)
    what = "seconds of each recording, a list of names and seconds or the recordings"
    add("--durations", metavar="LIST|FOLDER", help=what, **path)
    what = "the classes that are scored, a name a line; default: all labels"
    add("--classes", metavar="LIST", help=what, **path)
    what = "recordings of which the system has nothing: without events, or left out"
    choices = ("silent", "leave_out")
    add("--missing", choices=choices, default="silent", help=what)
    what = "of scores, above which events and tags are; default: 0.5, or a model's own"
    add("--threshold", type=float, metavar="T", help=what)
    add = parser.add_argument_group("which figures, and how sure").add_argument
    what = "recordings drawn together: a file `recording group`, or a column of the "
    what += "reference; default: clips named RECORDING_START_END by their recording"
    add("--groups", metavar="FILE|COLUMN", help=what)
    what = f"default: all; of scores alone: {', '.join(OF_SCORES)}"
    add("--metrics", nargs="+", choices=KINDS, metavar="NAME", help=_names(what))
    number = dict[str, Any](type=float)
    what = "also lengths of segments, besides 1 s"
    add("--segment_s", nargs="+", metavar="S", default=[], help=what, **number)
    what = "other collars than 0.2 s, 0.2 s and 0.2 of the length; an onset alone: "
    what += "offsets are not compared"
    add("--collars", nargs="+", metavar=("ONSET", "OFFSET SHARE"), help=what, **number)
    what = "also this intersection F1, besides 0.7 0.7 and 0.5 0.5"
    add("--intersection", nargs=2, metavar=("DTC", "GTC"), help=what, **number)
    what = "also this PSDS; CTTC and ALPHA_CT 0: no cross-triggers"
    names = ("DTC", "GTC", "CTTC", "ALPHA_CT", "ALPHA_ST", "MAX_EFPR")
    add("--psds", nargs=6, metavar=names, help=what, **number)
    what = "how often recordings are drawn for intervals; 0: no intervals"
    add("--draws", type=int, default=1000, metavar="N", help=f"{what}; default: 1000")
    add("--seed", type=int, default=0, metavar="N", help="of the draws; default: 0")
    add("--csv", metavar="CSV", help="also write every figure here, a row each", **path)


def files_of(flags: argparse.Namespace) -> Files:
    """What is scored."""
    return Files(
        reference=flags.reference,
        estimated=flags.estimated,
        scores=flags.scores,
        against=flags.against,
        recordings=flags.recordings,
        durations=flags.durations,
        classes=flags.classes,
        groups=flags.groups,
        threshold=flags.threshold,
        leaves_out=flags.missing == "leave_out",
    )


def choice_of(flags: argparse.Namespace) -> Choice:
    """Which figures.

    Raises:
        ConfigError: A number is none that can be.
    """
    if flags.draws < 0:
        raise ConfigError(f"--draws: expected 0 or more, got {flags.draws}")
    of_task = _OF_TASK[flags.task]
    kinds = flags.metrics or KINDS
    if not (kept := [kind for kind in kinds if kind in of_task]):
        names = ", ".join(of_task)
        raise ConfigError(f"--metrics: --task={flags.task} has {names}")
    if flags.threshold is not None and not math.isfinite(flags.threshold):
        raise ConfigError(f"--threshold: expected a number, got {flags.threshold}")
    return _choice(flags, kept)


def _choice(flags: argparse.Namespace, kinds: list[str]) -> Choice:
    choice = Choice()
    if wrong := [s for s in flags.segment_s if not 0 < s < math.inf]:
        raise ConfigError(f"--segment_s: expected more than 0 s, got {wrong[0]:g}")
    segments_s = dict.fromkeys([*choice.segments_s, *flags.segment_s])
    collars = choice.collars if flags.collars is None else [_collars(flags.collars)]
    intersections, psds = [*choice.intersections], {**choice.psds}
    if flags.intersection is not None:
        with _names_flag("--intersection"):
            intersections.append(Intersection(*flags.intersection))
    if flags.psds is not None:
        dtc, gtc, cttc, alpha_ct, alpha_st, max_efpr = flags.psds
        with _names_flag("--psds"):
            shares = Intersection(dtc, gtc, cttc if alpha_ct else None)
            psds["psds"] = PsdsParameters(shares, alpha_ct, alpha_st, max_efpr)
    unique = list(dict.fromkeys(intersections))
    return Choice(kinds, list(segments_s), collars, unique, psds)


def _collars(values: list[float]) -> Collars:
    if len(values) not in (1, 3):
        expected = "an onset, or an onset, an offset and a share of the length"
        raise ConfigError(f"--collars: expected {expected}, got {len(values)} numbers")
    with _names_flag("--collars"):
        if len(values) == 1:
            return Collars(values[0], None)
        onset_s, offset_s, offset_share = values
        return Collars(onset_s, offset_s, offset_share)


@contextlib.contextmanager
def _names_flag(flag: str) -> Iterator[None]:
    """What is wrong with values is wrong with those of a flag."""
    try:
        yield
    except DataError as error:
        raise ConfigError(f"{flag}: {error}") from None


def _names(text: str) -> str:
    return f"some of {', '.join((*DECISIONS, *OF_SCORES))}; {text}"


def is_of_split(flags: argparse.Namespace) -> bool:
    """Whether a model or posteriors of a split are scored, or else lists.

    Raises:
        ConfigError: It is neither, or both, or a flag is of the other.
    """
    if flags.model and flags.posteriors:
        raise ConfigError("--model and --posteriors exclude each other")
    is_system = bool(flags.model or flags.posteriors)
    if not is_system and not (flags.reference and flags.estimated):
        raise ConfigError(
            "expected --reference and --estimated, --model or --posteriors"
        )
    others, of = _OF_SPLITS, "--model or --posteriors"
    if is_system:
        others, of = _OF_LISTS, "lists, --reference and --estimated"
    wrong = [f"--{n}" for n, unset in others.items() if getattr(flags, n) != unset]
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: of {of}")
    return is_system


def check_outputs(flags: argparse.Namespace) -> None:
    """Raises WorkdirError for files that could not be written after the work."""
    for path in (flags.output, flags.csv, flags.report):
        if path is None:
            continue
        if path.is_dir():
            raise WorkdirError(f"cannot write {path}: it is a folder; expected a file")
        make_folder(path.parent)
        if not os.access(path.parent, os.W_OK):
            raise WorkdirError(f"cannot write {path}: its folder cannot be written")
