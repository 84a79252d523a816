r"""Trains, evaluates and reports one system of audio tagging and event detection.

    python -m gcrnn_jax.main --config=configs/sed.py
    python -m gcrnn_jax.main --config=few_clips --config.data.root=FOLDER \
        --config.model.filters=16 --workdir=runs/small

Without --config.data.root it trains on built-in soundscapes. The same command again
continues where it stopped, and on a finished run evaluates.

    --config=FILE                 the configuration: a file as configs/sed.py, or the
                                  name of one of the package, as sed
    --config.SECTION.FIELD=VALUE  sets a field of it
    --workdir=FOLDER              of the run; default: runs/NAME of the configuration
    --help --config=FILE          lists its fields, their values and what they mean

A file of one's own begins with `from gcrnn_jax.configs import sed`; its get_config
changes what sed.get_config() returns, which has every field with its default.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.errors import run_command
from gcrnn_jax.failpoints import failpoint

if TYPE_CHECKING:
    from gcrnn_jax.config import Config
    from gcrnn_jax.data.store import FeatureStore
    from gcrnn_jax.inference import TrainedModel
    from gcrnn_jax.metrics.evaluator import Row
    from gcrnn_jax.runs import Run
    from gcrnn_jax.training.phases import Account


def run(config: "Config", workdir: Path) -> None:
    """Trains the configured system in workdir, unless that is done, and reports.

    Args:
        config: Of the system.
        workdir: Made if it is not there; locked while the run lasts.

    Raises:
        GcrnnError: Whatever ends a run early; `errors.py` lists the exit codes.
    """
    import jax

    from gcrnn_jax.data.atomic_files import locked, make_folder
    from gcrnn_jax.runs import Run, configure_start, tensorboard
    from gcrnn_jax.training import launchers, parallel, phases, processes

    size = -(-config.sampling.batch_size // launchers.num_processes())
    parallel.configure_jax(size, config.parallel.cpu_devices)
    with processes.exit_all_on_failure():
        is_first = jax.process_index() == 0
        this_run, changed = configure_start(Run(workdir, config))
        this_run.config.check_shapes()
        for member in this_run.members:
            member.config.check_shapes()
        if changed and is_first:
            print(changed, flush=True)
        make_folder(workdir)
        with locked(workdir) if is_first else contextlib.nullcontext():
            this_run.check_config()
            tensorboard.check_installed(this_run)
            has_diverged = this_run.has_diverged
            processes.barrier("every process has compared the configuration")
            if is_first:
                this_run.write_config()
            with phases.opened(workdir if is_first else None) as account:
                train = _train_ensemble if this_run.members else _train_and_report
                train(this_run, account, rate_may_change=has_diverged)
                if is_first:
                    print(f"time: {account.summary()}; {workdir / phases.FILE}")
        processes.barrier("the first process has reported")


def _train_and_report(run: "Run", account: "Account", *, rate_may_change: bool) -> None:
    from gcrnn_jax.runs.scores import score_systems
    from gcrnn_jax.runs.stages import train, train_earlier
    from gcrnn_jax.training import phases

    train_earlier(run, account, 0, rate_may_change=rate_may_change)
    store, model = train(run)
    with phases.phase("evaluating", is_watched=False):
        averaged = run.average(model)
        rows = score_systems(run, store, model, averaged)
        _report(run, store, rows, 1, [(run, averaged)])


def _train_ensemble(run: "Run", account: "Account", *, rate_may_change: bool) -> None:
    """Trains the members of an ensemble one after the other, and reports their mean."""
    import jax

    from gcrnn_jax.runs import configure_start
    from gcrnn_jax.runs.members import TrainedMember, score_members
    from gcrnn_jax.runs.stages import begin, train, train_earlier
    from gcrnn_jax.training import phases

    is_first = jax.process_index() == 0
    num_steps = train_earlier(run, account, 0, rate_may_change=rate_may_change)
    members: list[TrainedMember] = []
    for number, configured in enumerate(run.members, start=1):
        member, _ = configure_start(configured)
        if is_first:
            print(
                f"\nmember {number} of {len(run.members)}: {member.folder}", flush=True
            )
        begin(member, rate_may_change=rate_may_change)
        num_steps = train_earlier(
            member, account, num_steps, rate_may_change=rate_may_change
        )
        num_steps += member.config.training.num_steps
        store, model = train(member)
        if is_first and number == 1:
            run.write_data(store)
            run.check_data(store)
        with phases.phase("evaluating", is_watched=False):
            averaged = member.average(model)
        members.append(TrainedMember(member, store, model, averaged))
    with phases.phase("evaluating", is_watched=False):
        rows = score_members(run, members)
        models = [(member.run, member.averaged) for member in members]
        _report(run, members[0].store, rows, len(members), models)


def _report(
    run: "Run",
    store: "FeatureStore",
    rows: "list[Row]",
    main: int,
    averaged: "Sequence[tuple[Run, TrainedModel]]",
) -> None:
    """Reports systems side by side, and writes the models of averaged weights.

    Args:
        run: That trained them.
        store: With the split that they are scored on.
        rows: In the first process; the one behind the main one is of averaged weights.
        main: Number of the row that is looked into.
        averaged: Runs and their models of averaged weights; the first one's attention
            is shown.
    """
    import jax
    import numpy as np

    from gcrnn_jax.report import ReportData, clip_reader, examples, systems
    from gcrnn_jax.report.page import write_page
    from gcrnn_jax.training import processes

    split, is_first = store.find_split(None), jax.process_index() == 0
    fit_split = store.find_fit_split(split)
    clips = np.full(examples.MAX_CLIPS, -1)
    if is_first:
        selection = examples.select_examples(rows[main], split)
        clips[: len(selection.clips)] = selection.clips
        rules, probabilities = rows[main + 1].fitted_postprocessing, None
        if len(averaged) == 1:  # or they are of the mean of the members
            probabilities = rows[main + 1].probabilities
    for owner, model in averaged:
        card = model.card
        if is_first:
            card = dataclasses.replace(
                card, postprocessing=rules, probabilities=probabilities
            )
        # by all processes, as orbax wants; the first one writes the card
        model.replace(card=card).save(owner.averaged)
    clips = processes.array_from_first(clips)
    attention = averaged[0][1].attention(split.part("examples", clips[clips >= 0]))
    if not is_first:
        return
    main_row, folder = rows[main], run.results(split)
    failpoint("report.write")
    systems.write_results(folder, rows, main_row, data_sha256=store.content_hash)
    print(f"\n{split.name}: {len(split)} clips. {systems.how_found(fit_split)}\n")
    print(systems.tables_text(rows, main_row))
    print(f"\nwrote {folder}: scores.json, events.csv, tags.csv, posteriors.npz")
    for owner, _ in averaged:
        print(f"wrote {owner.averaged}: the model of averaged weights")
    note = "the model of averaged weights"
    note += ", of the first member" if run.members else ""
    page = ReportData(
        title=f"{run.folder.resolve().name}, {split.name}",
        note=systems.how_found(fit_split),
        split=split,
        rows=rows,
        main_row=main_row,
        selection=selection,
        front_end=store.front_end,
        read_clip=clip_reader(run.config.data, run.config.seed, store.front_end),
        attention=attention,
        attention_note=f"Attention is that of {note}.",
        curves=None if run.members else run.curves(),
    )
    write_page(folder / "report.html", page)
    print(f"wrote {folder / 'report.html'}: the same as a page, with examples to hear")
    if sentence := systems.shortfall(main_row, rows[-1]):
        print(f"\n{sentence}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        if any(argument.startswith(("--config", "-config")) for argument in argv):
            from gcrnn_jax.arguments import list_fields

            print("\n".join(list_fields(argv)))
        return
    from gcrnn_jax.arguments import parse

    restart_tuned()
    config, workdir = parse(argv)
    logging.set_verbosity(logging.WARNING)
    run(config, workdir)


if __name__ == "__main__":
    run_command(main)
