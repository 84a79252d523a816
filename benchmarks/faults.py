"""Tiny runs with random faults, continued, and compared with an undisturbed one.

    python -m benchmarks.faults --trials 300
    python -m benchmarks.faults --trials 20 --seed 7 --output faults.json

A trial is a run that is started with a fault: at a failpoint (killed, sent a SIGTERM,
an error, a full disk), or with a signal at a random moment; sometimes a file of its
newest state is damaged then. It is started again up to twice with other faults, and at
last without one. It has resumed exactly if that ends well, and the features, the
weights of every epoch, the losses and the scores are to the bit those of the
undisturbed run. The result is JSON: {"trials": N, "resumed_exactly": ..., "lost": ...}
and every trial.

All starts are forks of one process that has imported everything and touched no device.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.corruption import EPOCHS, STEPS, TINY, Fault, digest
from benchmarks.timing import RESULTS
from gcrnn_jax import failpoints
from gcrnn_jax import main as train
from gcrnn_jax.data.atomic_files import read_json_lines
from gcrnn_jax.data.manifest import hash_file
from gcrnn_jax.errors import exit_at_signals, run_command
from gcrnn_jax.failpoints import POINTS
from gcrnn_jax.fields import command_parser
from gcrnn_jax.report import page, systems  # noqa: F401 - what a start would import
from gcrnn_jax.runs import Run
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.model_files import read_model

_NUM_PASSES = {  # how often a run comes by
    "prepare.clip": 32,
    "prepare.shard": 3,
    "prepare.ledger": 3,
    "write.rename": 30,
    "train.step": EPOCHS * STEPS,
    **dict.fromkeys(("train.epoch", "save.model", "save.state", "save.done"), EPOCHS),
    "score.epoch": EPOCHS,
    "score.write": EPOCHS,
    "train.restore": 1,
    "report.average": 1,
    "report.write": 1,
}
_ACTIONS = ("kill", "kill", "term", "raise", "enospc")
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_CODES = {0, 1, 74, 75, 130, -signal.SIGKILL}  # that a faulty start may end with
_TIMEOUT_S = 120.0


class Trials:
    """Runs in a folder, one after the other."""

    def __init__(self, folder: Path, seed: int):
        """Trains the undisturbed run."""
        self.folder, self._random = folder, random.Random(seed)
        if self._start("undisturbed", ""):
            sys.exit(f"the undisturbed run failed: {folder}/undisturbed.log")
        self._expected = self._content("undisturbed")
        started = time.monotonic()  # the second run finds its programs compiled
        self._start("again", "")
        self._usual_s = time.monotonic() - started
        if self._content("again") != self._expected:
            sys.exit("two undisturbed runs differ")

    def trial(self, number: int) -> dict[str, Any]:
        """One run: its faults, and how it differs from the undisturbed one."""
        name, faults, problems = f"trial-{number}", [], []
        started = time.monotonic()
        for _ in range(self._random.choice((1, 1, 2, 3))):
            fault = self._draw()
            code = self._start(name, **fault)
            faults.append({**fault, "exit_code": code})
            if code not in _CODES:
                problems.append(f"exit code {code}")
            if self._random.random() < 0.2 and (file := self._damage(name)):
                faults.append({"damaged": file})
        if code := self._start(name, ""):
            problems.append(f"the last start ended with {code}")
        else:
            content = self._content(name)
            keys = self._expected.keys() | content.keys()
            problems += [
                f"{key} differs"
                for key in sorted(keys)
                if content.get(key) != self._expected.get(key)
            ]
        if not problems:
            shutil.rmtree(self.folder / name)
        seconds = time.monotonic() - started
        return {"faults": faults, "problems": problems, "seconds": round(seconds, 2)}

    def _draw(self) -> dict[str, Any]:
        if self._random.random() < 0.25:
            moment_s = self._random.uniform(0.2, self._usual_s)
            number = self._random.choice(_SIGNALS)
            return {"failpoint": "", "signal": int(number), "after_s": moment_s}
        point = self._random.choice(list(_NUM_PASSES))
        count = self._random.randint(1, _NUM_PASSES[point])
        action = self._random.choice(_ACTIONS)
        return {"failpoint": f"{point}@{count}:{action}"}

    def _start(
        self,
        name: str,
        failpoint: str,
        signal: int = 0,
        after_s: float = 0.0,
    ) -> int:
        """Starts a run, and returns how it ended."""
        workdir = self.folder / name
        flags = [f"--workdir={workdir}", f"--config.data.store={workdir}/store"]
        child = os.fork()
        if not child:
            _run_in_child(["main", *TINY, *flags], failpoint, workdir)
        deadline = time.monotonic() + _TIMEOUT_S
        moment = time.monotonic() + after_s if signal else deadline
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > moment:
                is_late, moment = moment == deadline, deadline
                os.kill(child, signal if signal and not is_late else 9)
            time.sleep(0.01)

    def _damage(self, name: str) -> str | None:
        """Damages a file of the newest of several states; returns what it did."""
        states = self.folder / name / "resume"
        steps = saved_steps(states)
        if len(steps) < 2:
            return None
        files = sorted(f for f in (states / str(steps[-1])).rglob("*") if f.is_file())
        file = self._random.choice([f for f in files if f.stat().st_size])
        kind = self._random.choice(("bit", "zeroed", "truncated"))
        bits = 1 << self._random.randrange(8)
        Fault(kind, file, place := self._random.random(), bits).damage()
        return f"{file.relative_to(self.folder / name)}: {kind} at {place:.3f}"

    def _content(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name / "content.json").read_text())


def _run_in_child(argv: Sequence[str], failpoint: str, workdir: Path) -> None:
    """Starts the run in a forked process, which it ends."""
    log = os.open(workdir.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        exit_at_signals()
        failpoints.arm(failpoint)

        def command() -> None:
            train.main(argv)
            (workdir / "content.json").write_text(json.dumps(_content_of(workdir)))

        run_command(command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _content_of(workdir: Path) -> dict[str, Any]:
    """What must be to the bit as in the undisturbed run."""
    run, content = Run.open(workdir), {}
    for path in (*sorted(run.models.iterdir()), run.averaged):
        content[path.name] = digest(read_model(path)[1])
    content[run.scores.name] = run.scores.read_text()
    content[run.losses.name] = [
        {name: line[name] for name in ("step", "epoch", "loss", "grad_norm")}
        for _, line in read_json_lines(run.losses, "step")
    ]
    for path in sorted((workdir / "store").rglob("*.npy")):
        content[str(path.relative_to(workdir))] = hash_file(path)
    return content


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.faults", __doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "faults.json")
    flags = parser.parse_args(argv)
    os.environ["GCRNN_RESTARTED"] = "1"
    page.render_page = lambda _: ""  # half of the time of a start
    folder = Path(tempfile.mkdtemp(prefix="gcrnn_faults_"))
    _keep_all_programs(folder / "compiled")
    started, done = time.monotonic(), []
    trials = Trials(folder, flags.seed)
    for number in range(flags.trials):
        done.append(trial := trials.trial(number))
        print(f"{number + 1}/{flags.trials}: {json.dumps(trial)}", flush=True)
        exact = sum(not one["problems"] for one in done)
        result = {
            "trials": len(done),
            "resumed_exactly": exact,
            "lost": len(done) - exact,
            "seed": flags.seed,
            "minutes": (time.monotonic() - started) / 60,
            "all": done,
        }
        flags.output.parent.mkdir(parents=True, exist_ok=True)
        flags.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{exact} of {len(done)} resumed exactly: {flags.output}")
    if exact == len(done):
        shutil.rmtree(folder)
    else:
        print(f"runs with problems are in {folder}")


def _keep_all_programs(folder: Path) -> None:
    folder.mkdir()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)  # or commands choose theirs


if __name__ == "__main__":
    assert _NUM_PASSES.keys() <= set(POINTS)
    main()
