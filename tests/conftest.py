"""What tests share: strict JAX on four simulated devices, small data, data at hand."""

import contextlib
import fcntl
import gc
import os
import resource
import shutil
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
COMPILED = _CACHE / "gcrnn_jax_tests" / "compiled"
# Before JAX is imported, and inherited by every process that a test starts: compiled
# programs are shared by workers, by their children and by the next run of the tests.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import soundfile  # noqa: E402

from gcrnn_jax import failpoints  # noqa: E402
from gcrnn_jax.errors import StorageError  # noqa: E402
from gcrnn_jax.report import page  # noqa: E402
from tests.commands import Commands  # noqa: E402

gc.freeze()  # modules stay: collecting them again is a tenth of tracing a program
gc.set_threshold(20_000, 20, 20)

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")

SHARED = Path(__file__).parents[1].parent / "shared"
GOLDENS = Path(__file__).parent / "goldens"
WHAT_FAILED = "a failpoint raised this|No space left on device"


def pytest_addoption(parser):
    parser.addoption("--cpu", action="store_true", help="show where CPU time went")


def pytest_configure(config):
    """Programs that no test has read in a month are of old versions."""
    COMPILED.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(config, "workerinput"):
        for path in COMPILED.iterdir():
            if path.stat().st_atime < time.time() - 30 * 24 * 3600:
                path.unlink(missing_ok=True)


def pytest_collection_modifyitems(items):
    """The longest files first, or a worker would wait for the other's at the end."""
    longest = ["test_processes", "test_slurm", "test_process_layouts", "test_main"]
    longest += ["test_uneven_batches", "test_state", "test_kinds", "test_augment"]
    longest += ["test_embeddings", "test_frozen", "test_start", "test_wheel"]
    longest += ["test_soundscape_start", "test_peers", "test_features"]
    longest += ["test_any_layout", "test_members", "test_own_data"]
    places = {name: place for place, name in enumerate(longest)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def cpu_s() -> float:
    """Seconds of this process and of its children that have ended."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(sum(resource.getrusage(who)[:2]) for who in whose)


CPU_BEFORE = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[CPU_BEFORE] = cpu_s()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    if call.when == "teardown":
        before = item.stash.get(CPU_BEFORE, None)
        item.user_properties.append(("cpu_s", before and cpu_s() - before))


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("cpu"):
        return
    tests = {}
    for report in terminalreporter.stats.get("", []):
        if (seconds := dict(report.user_properties).get("cpu_s")) is not None:
            tests[report.nodeid] = seconds
    files: dict[str, float] = defaultdict(float)
    for name, seconds in tests.items():
        files[name.split("::")[0]] += seconds
    for title, times in (("files", files), ("tests", tests)):
        terminalreporter.section(f"{sum(times.values()):.0f} s of CPU by {title}")
        for name in sorted(times, key=times.get, reverse=True)[:20]:
            terminalreporter.line(f"{times[name]:7.1f}  {name}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official lists, goldens and benchmark audio beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the official lists and goldens in {SHARED}")
    return SHARED


CLASSES = "/m/1\tCar\n/m/2\tAir horn, truck horn\n/m/3\tTrain\n"


def make_folder(root: Path, sizes: dict[str, int], extension: str = "wav") -> Path:
    """Writes lists and recordings; clip i of a split has class i % 3, every third two.

    Clips named `clip<i>` last between 0.3 and 1.2 s.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "sound_event_list_3_classes.txt").write_text(CLASSES)
    random = np.random.default_rng(0)
    for split, size in sizes.items():
        folder = root / "audio" / split
        folder.mkdir(parents=True)
        rows = []
        for index in range(size):
            ids = f"/m/{index % 3 + 1}" + (",/m/1" if index % 3 == 2 else "")
            rows.append(f'{split}{index},0.000,10.000,"names","{ids}"\r\n')
            noise = 0.1 * random.standard_normal(
                round(16000 * random.uniform(0.3, 1.2))
            )
            path = folder / f"Y{split}{index}_0.000_10.000.{extension}"
            soundfile.write(path, noise, 16000)
        (root / f"{split}_set.csv").write_text("".join(rows), newline="")
    return root


@pytest.fixture
def data_folder(tmp_path) -> Callable[..., Path]:
    """Makes a folder with so many clips a split, as of `data_folder(training=9)`."""
    return lambda **sizes: make_folder(tmp_path / "data", sizes)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory) -> Path:
    """One folder of all the workers of a session."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing is left in the user's cache: features, what was found whole."""
    os.environ["GCRNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def commands(session_folder) -> Commands:
    """The commands, with a cache of features of the session's own."""
    return Commands(session_folder / "cache")


@pytest.fixture(scope="module")
def without_page():
    """The page of a run is made elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write_page", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def fails_at():
    """Has a block fail at a failpoint, as of `fails_at("train.step@2:raise")`."""

    @contextlib.contextmanager
    def fails(setting):
        failpoints.arm(setting)
        try:
            with pytest.raises(
                (RuntimeError, OSError, StorageError), match=WHAT_FAILED
            ):
                yield
        finally:
            failpoints.arm("")

    return fails


@pytest.fixture(scope="session")
def goldens(tmp_path_factory) -> Path:
    """Lists and the official tools' figures on them; see tests/goldens/README.md."""
    folder = tmp_path_factory.mktemp("goldens")
    with tarfile.open(GOLDENS / "official.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


class FinishedRun(NamedTuple):
    """A trained run: its folder, what the command printed, and its feature store."""

    workdir: Path
    printed: str

    @property
    def store(self) -> Path:
        """The features that it was trained on."""
        return Path(self.printed.split("features in ")[1].splitlines()[0])


@pytest.fixture(scope="session")
def finished_run(commands, session_folder) -> FinishedRun:
    """The run `commands.main(workdir)` of two epochs, trained once a session.

    All workers share it: tests that change its folder take `own_run`.
    """
    folder = session_folder / "finished"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "printed").exists():
            result = commands.main(folder / "run")
            assert result.returncode == 0, result.stderr
            (folder / "printed").write_text(result.stdout)
    return FinishedRun(folder / "run", (folder / "printed").read_text())


@pytest.fixture
def own_run(finished_run, tmp_path) -> FinishedRun:
    """A copy of `finished_run`, of this test alone."""
    workdir = shutil.copytree(finished_run.workdir, tmp_path / "run")
    return finished_run._replace(workdir=workdir)
