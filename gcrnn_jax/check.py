"""Looks a folder of recordings and lists over: what is wrong with it, what it holds.

    python -m gcrnn_jax.check --root ~/dcase2017_task4

It finds recordings that are missing, extra, broken, repeated, silent, clipped, too long
or too short; rows that cannot be read, unknown labels, events that overlap, have no
length or lie beyond their clip; clips, sources and recordings in two splits; classes
that nothing trains. It prints a summary and the hash of the data that scores carry,
and changes nothing in the folder. A recording is decoded again only if it has changed.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcrnn_jax.errors import DataError, run_command

if TYPE_CHECKING:
    from gcrnn_jax.checking.findings import Report

CHECK, CARD = "check.json", "data_card.md"

EXAMPLES = """\
examples:
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --output ~/checked
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --lists_only

exit code: 0 if training and scoring will use all that is there as it says, 65 if
something would be lost or go wrong; the summary says what
"""


def check(
    root: str | Path,
    *,
    lists_only: bool = False,
    num_workers: int | None = None,
    memory: Path | None = None,
) -> "Report":
    """Looks for whatever training or scoring would stumble over.

    Args:
        root: In the layout of DCASE 2017 Task 4; see `gcrnn_jax.data.folder`.
        lists_only: No recording is decoded.
        num_workers: Processes. None: one per core that this process may use.
        memory: A file that keeps what was heard, for the next check. None: none.

    Raises:
        DataError: There is no such folder.
        GcrnnError: A worker died.
    """
    from configs import sed
    from gcrnn_jax.audio.front_end import make_front_end
    from gcrnn_jax.checking.card import data_card
    from gcrnn_jax.checking.findings import Report, grouped
    from gcrnn_jax.checking.hearing import hear_all
    from gcrnn_jax.checking.lists import check_lists
    from gcrnn_jax.checking.recordings import check_ends, check_names, check_recordings
    from gcrnn_jax.data.event_lists import Reject
    from gcrnn_jax.data.folder import find_splits

    findings: list[Reject] = []
    dataset = find_splits(root, findings)
    lists = check_lists(dataset)
    findings += lists.findings
    findings += check_names(dataset)
    heard = {}
    if not lists_only:
        splits = dataset.splits.values()
        heard = hear_all(
            dataset.root,
            filter(None, (path for split in splits for path in split.recordings)),
            num_workers=num_workers or len(os.sched_getaffinity(0)),
            memory=memory,
        )
    if heard:
        findings += check_recordings(
            dataset, heard, make_front_end(sed.get_config().to_dict()["front_end"])
        )
    findings += check_ends(dataset, lists.events, heard)
    if lists_only:
        findings = [
            (path, line, "LISTS_ALONE" if code == "NO_RECORDINGS" else code, detail)
            for path, line, code, detail in findings
        ]
    card = data_card(dataset, lists.events, heard)
    return Report(dataset.root, grouped(dataset.root, findings), card)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with the exit code of its error, if any."""
    flags = _parser().parse_args(argv)
    run_command(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> None:
    from gcrnn_jax.checking.findings import ERROR
    from gcrnn_jax.checking.text import markdown, summary
    from gcrnn_jax.data.atomic_files import make_folder
    from gcrnn_jax.data.event_lists import write_text
    from gcrnn_jax.metrics.tables import json_text
    from gcrnn_jax.prepare import cache_path

    if flags.output is not None:
        make_folder(flags.output)  # hours before anything is written to it
    resolved = flags.root.resolve()
    report = check(
        flags.root,
        lists_only=flags.lists_only,
        num_workers=flags.workers,
        memory=cache_path(f"checked-{resolved.name}", str(resolved)),
    )
    print(summary(report))
    if flags.output is not None:
        check_json, card = flags.output / CHECK, flags.output / CARD
        write_text(check_json, json_text(report.as_dict()))
        write_text(card, markdown(report))
        print(f"\n{check_json} has all findings, {card} the data card")
    if errors := report.of(ERROR):
        counts = ", ".join(f"{group.code} {len(group.findings)}" for group in errors)
        raise DataError(f"{flags.root}: something would be lost or wrong: {counts}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.check",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="the folder of the data set"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help=f"folder for {CHECK}, all findings and figures, and {CARD}, for people",
    )
    parser.add_argument(
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
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


if __name__ == "__main__":
    main()
