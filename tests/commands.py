"""The commands as a user starts them, on soundscapes as few as they can be."""

import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import mock

from absl import logging

from gcrnn_jax.errors import run_command
from gcrnn_jax.training import parallel


class Commands:
    """Runs commands in this process, or starts them in others.

    Attributes:
        cache: The folder of features, as of GCRNN_CACHE.
    """

    ROOT = Path(__file__).parents[1]
    TINY = (
        "--config=configs/laptop.py",
        "--config.data.soundscapes=(24,12,12)",
        "--config.data.num_workers=0",
        "--config.model.filters=4",
        "--config.model.last_filters=8",
        "--config.model.rnn_units=4",
        "--config.sampling.batch_size=8",
        "--config.training.steps_per_epoch=2",
        "--config.training.num_epochs=2",
        "--config.fusion.epochs=1:2:1",
        "--config.optimizer.schedule=constant",  # or no run could be prolonged
    )

    # one block, since JAX keeps no program that a second process has compiled
    SMALLEST = (
        "--config.front_end.clip_s=1.0",
        "--config.model.blocks=(1,)",
        "--config.model.time_pooling=(2,)",
        "--config.model.frequency_pooling=(2,)",
        "--config.parallel.cpu_devices=1",
    )

    def __init__(self, cache: Path):
        self.cache = cache

    def start(
        self, *arguments, module="gcrnn_jax.main", processes=1, failpoint="", **options
    ):
        """A process that runs a module; `options` are those of Popen."""
        line = [sys.executable, "-m", module, *map(str, arguments)]
        if processes > 1:
            launcher = [sys.executable, "launch/local.py", f"-n{processes}", "--"]
            line = [*launcher, *line]
        environment = {
            **os.environ,
            "GCRNN_CACHE": str(self.cache),
            "GCRNN_FAILPOINT": failpoint,
        }
        return subprocess.Popen(
            line,
            cwd=self.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run_process(self, *arguments, **options):
        """A process, to its end; with `returncode`, `stdout` and `stderr`."""
        with self.start(*arguments, **options) as process:
            try:
                output, errors = process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess((), process.returncode, output, errors)

    def run(self, *arguments, module="gcrnn_jax.main", **options):
        """The same result, of this process where a package's command needs no other.

        That saves the start of Python and JAX. The devices are the four of the tests.
        """
        if options or not module.startswith("gcrnn_jax."):
            return self.run_process(*arguments, module=module, **options)
        line = [module, *map(str, arguments)]
        argv = line if module == "gcrnn_jax.main" else line[1:]
        command = importlib.import_module(module).main
        output, errors, code = io.StringIO(), io.StringIO(), 0
        with self._like_a_process(line), contextlib.redirect_stdout(output):
            with contextlib.redirect_stderr(errors):
                try:
                    run_command(lambda: command(argv))
                except SystemExit as end:
                    code = end.code or 0
        return subprocess.CompletedProcess(
            argv, code, output.getvalue(), errors.getvalue()
        )

    @contextlib.contextmanager
    def _like_a_process(self, line: list[str]):
        """What a command changes in its process is as before afterwards."""
        environment = {"GCRNN_CACHE": str(self.cache), "GCRNN_RESTARTED": "1"}
        signals = signal.SIGTERM, signal.SIGINT
        handlers = [signal.getsignal(number) for number in signals]
        verbosity = logging.get_verbosity()
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(sys, "argv", line),
            mock.patch.object(parallel, "use_cpu_cores"),
            contextlib.chdir(self.ROOT),
            # as Python itself does; ml_collections loads configurations by an old way
            warnings.catch_warnings(action="ignore", category=DeprecationWarning),
        ):
            try:
                yield
            finally:
                for number, handler in zip(signals, handlers, strict=True):
                    signal.signal(number, handler)
                logging.set_verbosity(verbosity)

    def main(self, workdir, *fields, **options):
        """Trains a tiny system."""
        return self.run(*self.TINY, f"--workdir={workdir}", *fields, **options)

    def losses(self, workdir: Path) -> list[float]:
        """Of all steps that a run has logged."""
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]
