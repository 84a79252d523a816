r"""Trains, evaluates and reports one system of audio tagging and event detection.

    python -m gcrnn_jax.main --config=configs/sed.py
    python -m gcrnn_jax.main --config=configs/sed.py --config.data.root=FOLDER \
        --config.model.filters=16 --workdir=runs/small

Without --config.data.root it trains on built-in soundscapes. The same command again
continues where it stopped, and on a finished run evaluates.

    --config=FILE                 the configuration, as configs/sed.py
    --config.SECTION.FIELD=VALUE  sets a field of it; configs/sed.py explains each
    --workdir=FOLDER              of the run; default: runs/NAME of the configuration
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.errors import ConfigError, exit_at_signals, run_command


def run(config: dict[str, Any], workdir: Path) -> None:
    """Trains the configured system in workdir, unless that is done, and reports.

    Args:
        config: Plain dictionaries and values, as of `configs/sed.py`.
        workdir: Made if it is not there; locked while the run lasts.

    Raises:
        GcrnnError: Whatever ends a run early; `errors.py` lists the exit codes.
    """
    import jax

    from gcrnn_jax import check_config, system
    from gcrnn_jax import workdir as folders
    from gcrnn_jax.data.atomic_files import locked, make_folder
    from gcrnn_jax.training import parallel

    check_config.check_config(config)
    size = config["sampling"]["batch_size"] // parallel.num_processes()
    system.configure_jax(size, config["parallel"]["cpu_devices"])
    with parallel.exit_all_on_failure():
        check_config.check_shapes(config, len(jax.devices()))
        first = jax.process_index() == 0
        make_folder(workdir)
        with locked(workdir) if first else contextlib.nullcontext():
            folders.check_same_run(workdir, config)
            parallel.barrier("every process has compared the configuration")
            if first:
                folders.write_config(workdir, config)
            _train_and_report(config, workdir)
        parallel.barrier("the first process has reported")


def _train_and_report(config: dict[str, Any], workdir: Path) -> None:
    import jax

    from gcrnn_jax import inference, system
    from gcrnn_jax.metrics.scoring import decide, score
    from gcrnn_jax.prepare import summary
    from gcrnn_jax.report import curves
    from gcrnn_jax.training import parallel
    from gcrnn_jax.workdir import check_same_data, write_data

    epochs = config["training"]["num_epochs"]
    fused = system.parse_epochs(config["fusion"]["epochs"], epochs)
    store = system.open_store(config)
    if jax.process_index() == 0:
        write_data(workdir, store)
        check_same_data(workdir, store)
        print(f"{summary(store)}\nfeatures in {store.path}", flush=True)
        if "held_out" in store.splits:
            print(f"held out of training: {len(store.splits['held_out'])} clips")
    mesh = parallel.make_mesh()
    predict = inference.make_predictor(system.make_card(config, store), mesh)
    name = "validation" if "validation" in store.splits else None
    watched = inference.find_split(store, name)

    def on_epoch(epoch: int, state) -> str:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        posteriors = predict(variables, watched)
        scores = score(
            decide(posteriors, posteriors.postprocessing), posteriors, watched
        )
        if jax.process_index() == 0:
            if epoch in (*fused, epochs):
                posteriors.save(inference.posteriors_path(workdir, watched, epoch))
            curves.keep_scores(workdir, epoch, watched.name, scores)
        return f"epoch {epoch}/{epochs}: {_one_line(watched.name, scores)}"

    trained = system.train_run(config, store, workdir, mesh, on_epoch)
    if not trained and jax.process_index() == 0:
        print(f"{workdir} is finished ({epochs} epochs): evaluating")
    _report(config, workdir, store, predict, fused)


def _one_line(split: str, scores) -> str:
    line = f"{split} mAP {100 * scores.tagging.mean_average_precision:.1f}"
    line += f", tag F1 {100 * scores.tagging.micro.f1:.1f}"
    if scores.detection:
        line += f", 1-s F1 {100 * scores.detection.micro.f1:.1f}"
    return line


def _report(config, workdir: Path, store, predict, fused: list[int]) -> None:
    """Scores the last epoch, the fused epochs and the averaged weights side by side."""
    import jax

    from gcrnn_jax import inference
    from gcrnn_jax.average_checkpoints import average
    from gcrnn_jax.detection.posteriors import fuse
    from gcrnn_jax.report import examples, subjects, systems
    from gcrnn_jax.report.page import write_page
    from gcrnn_jax.training.checkpoints import save_model

    last = config["training"]["num_epochs"]
    split = inference.find_split(store, None)
    fit_split = inference.find_fit_split(store, split)
    averaged = average(inference.load_epoch(workdir, config, e) for e in fused)

    def posteriors_of(split):
        """Of the three systems."""
        of_epochs = inference.epoch_posteriors(
            workdir, config, [*fused, last], split=split, predict=predict
        )
        fused_epochs = fuse(of_epochs[:-1])
        return of_epochs[-1], fused_epochs, predict(averaged.variables, split)

    reported = posteriors_of(split)
    fitting = posteriors_of(fit_split) if fit_split else (None, None, None)
    judge = systems.Judge(split, fit_split, **config["thresholds"])
    epochs = config["fusion"]["epochs"]
    names = (f"epoch {last}", f"epochs {epochs} fused", f"epochs {epochs} averaged")
    rows = [judge.found(*row) for row in zip(names, reported, fitting, strict=True)]
    rows += [judge.fixed(*row) for row in zip(names, reported, strict=True)]
    rows.append(judge.constant(reported[0]))
    found = {"postprocessing": dataclasses.asdict(rows[2].for_new_clips)}
    averaged.card.update(found)
    save_model(workdir / "averaged", averaged)  # by all processes, as orbax wants
    chosen, folder = rows[1], workdir / "results" / split.name
    shown = examples.choose_cases(chosen, split)
    attention = predict.attention(averaged.variables, shown.part_of(split))
    if jax.process_index() != 0:
        return
    systems.write_results(folder, rows, chosen, data_sha256=store.content_hash)
    print(f"\n{split.name}: {len(split)} clips. {_explain(fit_split)}\n")
    print(systems.systems_table(rows))
    print(f"\n{chosen.system}, every class (%)\n")
    print(systems.classes_table(chosen.scores))
    print(f"\nwrote {folder}: scores.json, events.csv, tags.csv, posteriors.npz")
    print(f"wrote {workdir / 'averaged'}: the model of averaged weights")
    subject = subjects.of_run(
        workdir,
        config,
        store,
        split,
        note=_explain(fit_split),
        rows=rows,
        chosen=chosen,
        shown=shown,
        attention=attention,
    )
    write_page(folder / "report.html", subject)
    print(f"wrote {folder / 'report.html'}: the same as a page, with examples to hear")


def _explain(fit_split) -> str:
    if fit_split:
        return f"Thresholds found on {fit_split.name}, or fixed; in %."
    return (
        'Thresholds of the other half of the clips ("other half"), or fixed; in %. '
        "This part also served to watch training: it is no test set."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return
    restart_tuned()
    exit_at_signals()
    config, workdir = _parse(argv)
    logging.set_verbosity(logging.WARNING)
    run(config, workdir)


def _define_flags() -> None:
    from ml_collections import config_flags

    if "workdir" not in flags.FLAGS:
        config_flags.DEFINE_config_file(
            "config",
            None,
            "the configuration, such as configs/sed.py",
            lock_config=True,
        )
        flags.DEFINE_string(
            "workdir", None, "folder of the run; default: runs/NAME of the config file"
        )


def _parse(argv: list[str]) -> tuple[dict[str, Any], Path]:
    """Reads the flags; every mistake in them is a ConfigError that names it."""
    from ml_collections import config_flags

    _define_flags()
    try:
        rest = flags.FLAGS(argv)
        config = flags.FLAGS.config
        config = None if config is None else json.loads(config.to_json())
    except flags.Error as error:
        raise ConfigError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        detail = error.args[0] if error.args else error  # str() of a KeyError quotes it
        raise ConfigError(f"bad --config override: {detail}") from error
    except OSError as error:
        raise ConfigError(f"--config: {error}") from error
    if len(rest) > 1:
        raise ConfigError(f"unexpected arguments {rest[1:]}: flags start with --")
    if config is None:
        raise ConfigError("--config is missing, such as --config=configs/sed.py")
    file = config_flags.get_config_filename(flags.FLAGS["config"])
    return config, Path(flags.FLAGS.workdir or f"runs/{Path(file).stem}")


if __name__ == "__main__":
    run_command(main)
