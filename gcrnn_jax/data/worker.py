"""Processes that run a function over tasks, and may crash or hang at one of them.

They are started afresh ("spawn"), never forked: a fork of a process that has used JAX
or BLAS threads may hang. They need no shared memory, end with their parent, and leave
signals to it.
"""

import collections
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Generator, Iterator, Mapping
from multiprocessing import connection, resource_tracker, util
from typing import Any, Generic, TypeVar

from gcrnn_jax.errors import GcrnnError, hold_signals

Task = TypeVar("Task")

SILENT_S = 20.0  # without a sign of a task; then its worker is taken to hang
START_S = 120.0  # for a worker to start, on a machine that is busy
TICK_S = 0.5  # waits are counted in such: a stopped process counts none
_HEARTBEAT, ITEM, END, ERROR = range(4)  # what workers say
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_PR_SET_PDEATHSIG = 1


class LostError(GcrnnError):
    """A worker that died or hung; `str` says how."""


class Worker(Generic[Task]):
    """A process that runs a function over the tasks it is sent, one after the other."""

    def __init__(self, function: Callable[[Any, Task], Any], context: Any):
        """Starts it; `function` is of a module, `context` picklable.

        Raises:
            OSError: The system allows no further process.
        """
        self.tasks: collections.deque[Any] = collections.deque()  # at which it is
        self.silent_s, self._is_ready = 0.0, False
        self.pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(theirs, function, context, os.getpid()), daemon=True
        )
        with _plain_children(), theirs:
            self._process.start()
        # or a worker would outlast who forgot it, and this process wait for it
        self._kill = util.Finalize(self, self._process.kill, exitpriority=1)

    def send(self, task: Task) -> None:
        """Gives it a task."""
        with contextlib.suppress(OSError):  # it is dead, as will be seen
            self.pipe.send(task)

    def receive(self) -> tuple[int, Any]:
        """The next message, once there is one.

        Raises:
            LostError: The process has died.
        """
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            raise LostError(self._death()) from None
        self.silent_s, self._is_ready = 0.0, True
        return kind, value

    def wait(self, seconds: float) -> None:
        """Counts time in which nothing came.

        Raises:
            LostError: It was silent for longer than a task may be.
        """
        self.silent_s += seconds
        if self.silent_s > (SILENT_S if self._is_ready else START_S):
            raise LostError(f"its process gave no sign for {self.silent_s:.0f} s")

    def end(self) -> None:
        """Ends it, whatever it is doing."""
        self._kill()
        self._process.join()
        self.pipe.close()

    def _death(self) -> str:
        self._process.join(TICK_S)
        code = self._process.exitcode or 0
        if not self._is_ready:
            return f"its process could not start (exit code {code})"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"


class Streams(Generic[Task]):
    """A generator function that runs in other processes, one for each under way."""

    def __init__(self, function: Callable[[Any, Task], Iterator[Any]]):
        """Of a module; called with None and a task."""
        self._function = function
        self._idle: list[Worker] = []

    def __call__(self, task: Task) -> Iterator[Any]:
        """Yields what function(None, task) does.

        Raises:
            LostError: Its process died, or gave no sign for `SILENT_S`. Exceptions of
                the function come through as they are.
        """
        worker = self._idle.pop() if self._idle else Worker(self._function, None)
        is_done = False
        try:
            worker.send(task)
            while not is_done:
                if not worker.pipe.poll(TICK_S):
                    worker.wait(TICK_S)
                    continue
                kind, value = worker.receive()
                is_done = kind in (END, ERROR)
                if kind == ERROR:
                    raise value
                if kind == ITEM:
                    yield value
        finally:
            if is_done:
                self._idle.append(worker)
            else:
                worker.end()

    def close(self) -> None:
        """Ends the processes."""
        while self._idle:
            self._idle.pop().end()


_parent: connection.Connection | None = None  # in a worker


def heartbeat() -> None:
    """Says, in a worker, that its task goes on."""
    if _parent is not None:
        _parent.send((_HEARTBEAT, None))


def _work(
    pipe: connection.Connection,
    function: Callable[[Any, Any], Any],
    context: Any,
    parent_id: int,
) -> None:
    """What a worker does until its parent ends."""
    global _parent  # noqa: PLW0603 - the task's own code has no other way to it
    _parent = pipe
    with contextlib.suppress(OSError, AttributeError):  # another system than Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Decoders write warnings of their own to stderr, one a broken MP3 frame.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        heartbeat()
        while os.getppid() == parent_id:
            task = pipe.recv()
            try:
                result = function(context, task)
                if isinstance(result, Generator):
                    for item in result:
                        pipe.send((ITEM, item))
                    result = None
                message = (END, result)
            except Exception as error:
                message = (ERROR, error)
            pipe.send(message)


@contextlib.contextmanager
def _plain_children() -> Iterator[None]:
    """Lets a process that starts meanwhile be cheap, with one thread and no signals.

    A spawned process imports its parent's main module again, which our workers do
    not need: a training run's would bring all of JAX.
    """
    resource_tracker.ensure_running()  # which would let signals through again
    main, before = sys.modules["__main__"], dict(os.environ)
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    hold_signals()
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        _restore(before)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _restore(environment: Mapping[str, str]) -> None:
    for name in _BLAS_THREADS:
        del os.environ[name]
        os.environ.update({name: environment[name]} if name in environment else {})
