"""Results come in the order of the tasks, whatever the workers do."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from gcrnn_jax import machine
from gcrnn_jax.data import worker
from gcrnn_jax.data.worker import LostError, Streams
from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import StuckError

# of a worker, in code for `eval`
LEAVE = "__import__('os')._exit(3)"
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
STOP = "__import__('signal').raise_signal(19)"
HANG = "__import__('time').sleep(99)"


def divided(_, count):
    """The numbers up to count, which hangs at 99 and fails at 0."""
    1 / count  # noqa: B018
    if count == 99:
        time.sleep(99)
    yield from range(count)


def evaluate(code, num_tasks, num_workers=2, **options):
    """What the code is for task 0, 1, ..., in workers."""
    tasks = [{"task": task} for task in range(num_tasks)]
    return list(
        ordered_map(eval, tasks, context=code, num_workers=num_workers, **options)
    )


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(worker, "SILENT_S", 0.9)


def test_minus_one_is_a_process_a_core_with_memory_for_it(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 32)
    monkeypatch.setattr(machine, "available_bytes", lambda: 64e9)
    assert [resolve_num_workers(n) for n in (-1, 0, 1, 3)] == [32, 0, 1, 3]
    monkeypatch.setattr(machine, "available_bytes", lambda: 2e9)
    assert resolve_num_workers(-1) == 6
    monkeypatch.setattr(machine, "available_bytes", lambda: 0)
    assert resolve_num_workers(-1) == 1


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_results_are_in_the_order_of_the_tasks(num_workers):
    tasks = range(1, 40)
    results = ordered_map(divmod, tasks, context=1000, num_workers=num_workers)
    assert list(results) == [divmod(1000, task) for task in tasks]


def test_tasks_are_not_read_far_ahead():
    read = []
    tasks = (read.append(task) or task for task in range(1, 100))
    results = ordered_map(divmod, tasks, context=1000, num_workers=2)
    next(results)
    assert len(read) == 8
    results.close()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_comes_through_as_it_is(num_workers):
    results = ordered_map(divmod, [1, 0], context=1000, num_workers=num_workers)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_a_task_that_ends_its_worker_twice_is_lost_alone_and_named(capsys):
    results = evaluate(
        f"{LEAVE} if task == 2 else task",
        6,
        on_lost=lambda task, what: (task["task"], what),
        name=lambda task: f"a{task['task']}.wav",
    )
    assert results == [0, 1, (2, "its process ended with exit code 3"), 3, 4, 5]
    assert re.findall(r"(\S+): its process .* it is (.*)", capsys.readouterr().err) == [
        ("a2.wav", "tried once more"),
        ("a2.wav", "left out"),
    ]


@pytest.mark.parametrize("code", [DIE, STOP])
def test_a_worker_that_is_killed_or_stopped_once_costs_nothing(
    code, impatient, tmp_path, capsys
):
    first = f"__import__('os').mkdir({str(tmp_path / 'once')!r})"
    once = f"__import__('os').path.exists({str(tmp_path / 'once')!r})"
    results = evaluate(f"task if task != 1 or {once} else [{first}, {code}]", 4)
    assert results == [0, 1, 2, 3]
    assert "{'task': 1" in capsys.readouterr().err


def test_a_task_that_hangs_is_an_error_where_none_may_be_lost(impatient):
    with pytest.raises(StuckError, match=r"'task': 1.*no sign for 1 s, twice"):
        evaluate(f"{HANG} if task == 1 else task", 3)


def test_a_long_task_that_gives_signs_does_not_hang(impatient):
    beat = "__import__('gcrnn_jax.data.worker', fromlist=['x']).heartbeat()"
    code = f"[[__import__('time').sleep(.7), {beat}] for _ in range(3)][2:] and task"
    assert evaluate(code, 2) == [0, 1]


def test_without_processes_this_one_does_all(monkeypatch, capsys):
    def refused(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("gcrnn_jax.data.worker_pool.Worker", refused)
    assert evaluate("task", 3) == [0, 1, 2]
    assert "this process alone" in capsys.readouterr().err


def test_workers_are_cheap_and_leave_this_process_as_it_was(monkeypatch):
    """One BLAS thread each, no signal, nothing of this program but what they need."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    code = (
        "__import__('os').environ['OPENBLAS_NUM_THREADS'], "
        "'jax' in __import__('sys').modules, "
        "sorted(__import__('signal').pthread_sigmask(0, ()))"
    )
    signals = sorted((signal.SIGINT, signal.SIGTERM))
    assert evaluate(code, 1) == [("1", False, signals)]
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_a_worker_that_hangs_ends_with_its_parent(tmp_path):
    """Which is killed, and can do nothing for it."""
    marker = str(tmp_path / "marker")
    mark = f"__import__('os').symlink(str(__import__('os').getpid()), {marker!r})"
    code = f"[{mark}, {HANG}]"
    program = (
        "from gcrnn_jax.data.worker_pool import ordered_map\n"
        f"list(ordered_map(eval, [{{}}], context={code!r}, num_workers=2))"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        while not os.path.islink(marker):
            assert process.poll() is None
        process.kill()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{os.readlink(marker)}"):
        assert time.monotonic() < deadline


def test_streams_run_side_by_side_and_outlive_their_errors(impatient):
    streams = Streams(divided)
    one, other = streams(3), streams(4)
    assert [next(one), next(other), *one, *other] == [0, 0, 1, 2, 1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        list(streams(0))
    unfinished = streams(2)
    next(unfinished)
    unfinished.close()
    with pytest.raises(LostError, match="no sign for 1 s"):
        list(streams(99))
    assert list(streams(2)) == [0, 1]
    streams.close()
