"""Looks a folder of recordings and lists over: what is wrong with it, what it holds.

    python -m gcrnn_jax.check --root ~/dcase2017_task4
    python -m gcrnn_jax.check --root ~/birds --negatives background --clip_s 5

Any layout of a folder will do that training reads; the first line says which was found.
It finds recordings that are missing, extra, broken, repeated, silent, clipped, too long
or too short; rows that cannot be read, unknown labels, events that overlap, have no
length or lie beyond their clip; clips, sources and recordings in two splits; classes
that nothing trains. It prints a summary and the hash of the data that scores carry,
and changes nothing in the folder. A recording is decoded again only if it has changed.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gcrnn_jax.errors import DataError, run_command
from gcrnn_jax.fields import (
    add_layout_flags,
    at_least_one,
    command_parser,
    construct,
    layout_fields,
    user_path,
)

if TYPE_CHECKING:
    from gcrnn_jax.checking.report import Report
    from gcrnn_jax.data.dataset import Dataset
    from gcrnn_jax.data.layouts import LayoutOptions

CHECK, CARD = "check.json", "data_card.md"

EXAMPLES = """\
examples:
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --output ~/checked
  python -m gcrnn_jax.check --root ~/dcase2017_task4 --lists_only
  python -m gcrnn_jax.check --root ~/birds --write_table ~/birds_table

exit code: 0 if training and scoring will use all that is there as it says, 65 if
something would be lost or go wrong; the summary says what
"""


def check(
    root: str | Path,
    *,
    lists_only: bool = False,
    num_workers: int = -1,
    cache: Path | None = None,
    options: "LayoutOptions | None" = None,
    on_dataset: "Callable[[Dataset], None]" = lambda dataset: None,
) -> "Report":
    """Looks for whatever training or scoring would stumble over.

    Args:
        root: In any layout of `gcrnn_jax.data.layouts`.
        lists_only: No recording is decoded.
        num_workers: Processes; 0: this one alone, -1: one a core.
        cache: A file that keeps what was measured, for the next check. None: none.
        options: How the folder is read; None: as `configs/sed.py` has it.
        on_dataset: Called with what the folder holds, before a recording is decoded.

    Raises:
        ConfigError: The options name no layout.
        DataError: There is no such folder, or the files of several layouts are in it.
        StuckError: Workers cannot start.
    """
    from gcrnn_jax.audio.front_end import make_front_end
    from gcrnn_jax.checking.card import data_card
    from gcrnn_jax.checking.lists import check_lists
    from gcrnn_jax.checking.probe import probe_all
    from gcrnn_jax.checking.recordings import check_ends, check_names, check_recordings
    from gcrnn_jax.checking.report import Report, group_findings
    from gcrnn_jax.configs import sed
    from gcrnn_jax.data.findings import Code
    from gcrnn_jax.data.folder import default_options, read_folder

    options = options or default_options()
    dataset, findings = read_folder(root, options)
    on_dataset(dataset)
    findings += [*check_lists(dataset), *check_names(dataset)]
    probes = {}
    if not lists_only:
        splits = dataset.splits.values()
        paths = [path for split in splits for path in split.recordings if path]
        probes = probe_all(dataset.root, paths, num_workers=num_workers, cache=cache)
    fields = sed.get_config().to_dict()["front_end"]
    front_end = make_front_end(fields | {"clip_s": options.clip_s})
    if probes:
        findings += check_recordings(dataset, probes, front_end)
    findings += check_ends(dataset, probes, front_end.clip_s)
    if lists_only:
        findings = [
            replace(f, code=Code.LISTS_ALONE) if f.code is Code.NO_RECORDINGS else f
            for f in findings
        ]
    card = data_card(dataset, probes)
    return Report(dataset.root, group_findings(dataset.root, findings), card)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command; ends the process with the exit code of its error, if any."""
    run_command(lambda: _run(_parser().parse_args(argv)))


def _run(flags: argparse.Namespace) -> None:
    from gcrnn_jax.checking.text import markdown, summary
    from gcrnn_jax.data.atomic_files import (
        cache_folder,
        make_folder,
        write_atomically,
        write_text,
    )
    from gcrnn_jax.data.preparation import cache_path

    if flags.output is not None:
        make_folder(flags.output)  # hours before anything is written to it
    resolved, can_keep = flags.root.resolve(), cache_folder() is not None
    cache = cache_path(f"checked-{resolved.name}", str(resolved)) if can_keep else None
    report = check(
        flags.root,
        lists_only=flags.lists_only,
        num_workers=flags.workers,
        cache=cache,
        options=_layout_options(flags),
        on_dataset=lambda dataset: _begin(dataset, flags.write_table),
    )
    print(summary(report))
    if flags.output is not None:
        check_json, card = flags.output / CHECK, flags.output / CARD
        write_atomically(check_json, (part.encode() for part in report.json_parts()))
        write_text(card, markdown(report))
        print(f"\n{check_json} has all findings, {card} the data card")
    if errors := report.of_severity("error"):
        counts = ", ".join(
            f"{code.name} {len(group)}" for code, group in errors.items()
        )
        raise DataError(f"{flags.root}: something would be lost or wrong: {counts}")


def _layout_options(flags: argparse.Namespace) -> "LayoutOptions":
    """As the flags say; the other fields are those of `configs/sed.py`.

    Raises:
        ConfigError: A field cannot have this value.
    """
    from gcrnn_jax.audio.front_end import make_front_end
    from gcrnn_jax.configs import sed
    from gcrnn_jax.data.data_options import DataOptions

    config = sed.get_config().to_dict()
    if flags.clip_s is not None:
        config["front_end"]["clip_s"] = flags.clip_s
    data = construct(DataOptions, config["data"] | layout_fields(flags), "data")
    return data.layout_options(make_front_end(config["front_end"]))


def _begin(dataset: "Dataset", table: Path | None) -> None:
    """Says what was found, and writes it as a table, hours before all is decoded."""
    print(f"{dataset.summary()}\n", flush=True)
    if table is not None:
        from gcrnn_jax.data.write_table import write_table

        write_table(dataset, table)
        print(f"wrote {table}: the same as a table of clips\n", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.check", __doc__, EXAMPLES)
    parser.add_argument(
        "--root", type=user_path, required=True, help="the folder of the data set"
    )
    parser.add_argument(
        "--output",
        type=user_path,
        help=f"folder for {CHECK}, all findings and figures, and {CARD}, for people",
    )
    parser.add_argument(
        "--write_table",
        type=user_path,
        metavar="FOLDER",
        help="write clips, labels and events there as a plain table, clips.csv",
    )
    parser.add_argument(
        "--lists_only",
        action="store_true",
        help="decode no recording; missing ones are found all the same",
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        default=-1,
        help="parallel processes (default: one per core)",
    )
    parser.add_argument(
        "--clip_s",
        type=float,
        help="seconds of a clip, as front_end.clip_s (default: 10)",
    )
    add_layout_flags(parser)
    return parser


if __name__ == "__main__":
    main()
