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

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_context: Any = None  # in a worker: what `ordered_map` was given


def resolve_num_workers(num_workers: int) -> int:
    """How many processes: -1 is one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if num_workers == -1 else num_workers


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
        num_workers: Processes; 0 or 1: this one alone. See `resolve_num_workers`.

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
        with _plain_children():  # starts every worker now, under these conditions
            list(pool.map(abs, range(num_workers)))
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
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _call(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_context, task)


@contextlib.contextmanager
def _plain_children() -> Iterator[None]:
    """Lets processes that start meanwhile be cheap, with one thread each.

    A spawned process imports its parent's main module again, which our workers do
    not need: a training run's would bring all of JAX.
    """
    main, before = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name in _BLAS_THREADS:
            del os.environ[name]
            os.environ.update({name: before[name]} if name in before else {})
