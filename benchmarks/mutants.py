"""Breaks one line of the package after another and shows which the tests do not see.

    python -m benchmarks.mutants --count 100
    python -m benchmarks.mutants --count 20 --room audio --seed 1 --output audio.jsonl

Each break is made in a copy of the tree, whose tests are run: those that name the
broken file first, then the others of its room. A run that is stopped goes on when it is
started again with the same --output. A break that nobody can see is explained by people
(a buffer's size, a floor that no number comes near); every other calls for a test.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.breaks import Break, sample_breaks
from gcrnn_jax.fields import command_parser

ROOT = Path(__file__).parents[1]
SEEN, TIMED_OUT, UNSEEN = "seen", "timed out", "unseen"
_NO_TESTS = 5  # exit code of pytest
_LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", "build", "dist"
)


class Trial:
    """A copy of the tree in which breaks are made and tests are run."""

    def __init__(self, root: Path, folder: Path, timeout_s: float):
        """Copies the tree.

        Args:
            root: Of the tree.
            folder: A new one; the copy is its folder "tree".
            timeout_s: Of one run of tests.
        """
        self.tree, self.timeout_s = folder / "tree", timeout_s
        shutil.copytree(root, self.tree, symlinks=True, ignore=_LEFT_BEHIND)
        if (shared := root.resolve().parent / "shared").is_dir():
            (folder / "shared").symlink_to(shared)
        self._sound: set[str] = set()  # tests that pass without a break

    def outcome(self, one: Break) -> str:
        """Runs the tests of a broken file until one sees the break."""
        stages = tests_of(self.tree, one.path)
        self._check_sound({test for stage in stages for test in stage})
        path = self.tree / one.path
        source = path.read_bytes()
        path.write_bytes(one.apply(source))
        try:
            for tests in filter(None, stages):
                code = self._run(tests)
                if code not in (0, _NO_TESTS):
                    return TIMED_OUT if code is None else SEEN
        finally:
            path.write_bytes(source)
        return UNSEEN

    def _check_sound(self, tests: set[str]) -> None:
        tests -= self._sound
        # tests first: a file that pytest runs for its examples is another
        # module than the one that tests import
        if tests and self._run(sorted(tests, reverse=True)) not in (0, _NO_TESTS):
            sys.exit(f"these tests fail without a break: {' '.join(sorted(tests))}")
        self._sound |= tests

    def _run(self, tests: Sequence[str]) -> int | None:
        """The exit code of pytest; None: it ran too long."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *tests],
            cwd=self.tree,
            # a compiled file would be taken for that of a break of the same second
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def tests_of(tree: Path, path: str) -> tuple[list[str], list[str]]:
    """The tests that name a file of the package, with its examples, and its room's.

    Args:
        tree: With a folder "tests".
        path: Of the file, such as "package/room/file.py".
    """
    parts = Path(path).with_suffix("").parts
    name, room = parts[-1], parts[1:-1]
    pattern = "test_*.py" if room else f"test_{name}.py"
    in_room = sorted((tree / "tests").joinpath(*room).rglob(pattern))
    # of the room, or named in a file at the top: package.room.file or package.room
    top = sorted((tree / "tests").glob("test_*.py"))
    dotted = ".".join(parts[:-1] if name == "__init__" else parts)
    parent, _, last = dotted.rpartition(".")
    named = re.compile(
        rf"{re.escape(dotted)}\b|from {re.escape(parent)} import [^\n]*\b{last}\b"
    )
    from_room = re.compile(rf"{re.escape('.'.join(parts[:2]))}\b")
    first, then = [], []
    for test in dict.fromkeys([*in_room, *top]):
        text, relative = test.read_text(), test.relative_to(tree).as_posix()
        if test.stem == f"test_{name}" or named.search(text):
            first.append(relative)
        elif test not in top or from_room.search(text):
            then.append(relative)
    return [*first, path], then


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    breaks = sample_breaks(
        flags.root, flags.package, flags.count, flags.seed, flags.room
    )
    done = _read(flags.output)
    started, num_done, results = time.monotonic(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(flags.root, Path(folder), flags.timeout_s)
        for number, one in enumerate(breaks, 1):
            result = _describe(one, flags.root)
            key = json.dumps(result)
            if key not in done:
                done[key] = trial.outcome(one)
                num_done += 1
                with flags.output.open("a") as file:
                    file.write(json.dumps({**result, "outcome": done[key]}) + "\n")
            results.append({**result, "outcome": done[key]})
            pace = (time.monotonic() - started) / max(num_done, 1)
            left = (len(breaks) - number) * pace / 60
            place = f"{result['path']}:{result['line']}"
            print(f"{number}/{len(breaks)} {done[key]:9} {place}, {left:.0f} min left")
            sys.stdout.flush()
    print(report(results))


def _describe(one: Break, root: Path) -> dict[str, Any]:
    line, before, after = one.describe((root / one.path).read_bytes())
    return {
        "path": one.path,
        "line": line,
        "kind": one.kind,
        "before": before,
        "after": after,
    }


def _read(path: Path) -> dict[str, str]:
    """Outcomes of an earlier start; a line that was cut is tried again."""
    done = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        outcome = result.pop("outcome")
        done[json.dumps(result)] = outcome
    return done


def report(results: Sequence[dict[str, Any]]) -> str:
    """A table of rooms, and all breaks that no test has seen."""
    outcomes = (SEEN, TIMED_OUT, UNSEEN)
    rooms = sorted({Path(result["path"]).parts[1] for result in results})
    width = max(len("room"), *map(len, rooms))
    lines = ["", f"{'room':{width}}" + "".join(f"{name:>11}" for name in outcomes)]
    for room in [*rooms, "all"]:
        counts = Counter(
            result["outcome"]
            for result in results
            if room in (Path(result["path"]).parts[1], "all")
        )
        numbers = "".join(f"{counts[outcome]:11}" for outcome in outcomes)
        lines.append(f"{room:{width}}{numbers}")
    lines.append("")
    for result in results:
        if result["outcome"] == UNSEEN:
            lines.append(f"{result['path']}:{result['line']}: {result['kind']}")
            lines.append(f"  - {result['before']}\n  + {result['after']}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.mutants", __doc__)
    parser.add_argument("--count", type=int, default=100, help="of breaks")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--room", help="draws from it alone, such as audio")
    parser.add_argument(
        "--output", type=Path, default=Path("mutants.jsonl"), help="one line a break"
    )
    parser.add_argument(
        "--timeout_s", type=float, default=600.0, help="of one run of tests"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="of the tree")
    parser.add_argument("--package", default="gcrnn_jax", help="its folder there")
    return parser


if __name__ == "__main__":
    main()
