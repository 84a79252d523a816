"""A function over many tasks in parallel processes, results in the order of the tasks.

Workers are started afresh ("spawn"), never forked: a fork of a process that has used
JAX or BLAS threads may hang.
"""

import collections
import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from gcrnn_jax.errors import GcrnnError

Task = TypeVar("Task")
Result = TypeVar("Result")

_context: Any = None  # in a worker: what `ordered_map` was given


def ordered_map(
    function: Callable[[Any, Task], Result],
    tasks: Iterable[Task],
    *,
    context: Any,
    num_workers: int,
) -> Generator[Result, None, None]:
    """Yields function(context, task) for every task, in the order of the tasks.

    At most four tasks a worker are under way, so that memory stays flat however slow
    the consumer is.

    Args:
        function: Of a module, so that a worker can import it.
        tasks: Small, picklable; read as workers become free.
        context: Picklable; sent to each worker once.
        num_workers: 0 or 1: everything happens in this process.

    Raises:
        GcrnnError: A worker died. Exceptions of `function` come through as they are.
    """
    if num_workers <= 1:
        for task in tasks:
            yield function(context, task)
        return
    pool = ProcessPoolExecutor(
        num_workers, get_context("spawn"), initializer=_start, initargs=(context,)
    )
    try:
        with _plain_children():
            # Starts every worker now, under these conditions.
            started = [pool.submit(_nothing) for _ in range(num_workers)]
            for future in started:
                future.result()
        waiting: collections.deque[Future[Result]] = collections.deque()
        for task in tasks:
            waiting.append(pool.submit(_call, function, task))
            if len(waiting) >= 4 * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise GcrnnError(
            "a worker process died (out of memory, or a decoder that crashed); what is "
            "done is kept: run again to go on, with one worker to see more"
        ) from None
    finally:
        # A second Ctrl-C in here would leave workers that nobody ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pool.shutdown(wait=True, cancel_futures=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(context: Any) -> None:
    """Makes a fresh process a worker."""
    global _context  # noqa: PLW0603 - how an initializer hands anything over
    _context = context
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Decoders write warnings of their own to stderr, one a broken MP3 frame.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _nothing() -> None:
    """Does nothing, in a worker that starts for it."""


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_context, task)


@contextlib.contextmanager
def _plain_children() -> Iterator[None]:
    """Lets processes that start meanwhile be cheap, with one thread each.

    A spawned process imports its parent's main module again, which our workers do
    not need: a training run's would bring all of JAX.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
