"""A function over tasks in parallel processes, results in the order of the tasks."""

import collections
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import connection
from typing import Any, TypeVar

from gcrnn_jax import machine
from gcrnn_jax.data.worker import END, ERROR, TICK_S, LostError, Worker
from gcrnn_jax.errors import StuckError

Task = TypeVar("Task")

_WORKER_BYTES = 300e6
_TASKS_A_WORKER = 16  # recordings; fewer are done before another process has started


def resolve_num_workers(num_workers: int, num_tasks: int | None = None) -> int:
    """How many processes: -1 is one for each core, as far as there is memory.

    Never more than are worth starting for so many recordings; None: for any number.
    """
    if num_workers == -1:
        fitting = int(machine.available_bytes() / _WORKER_BYTES)
        num_workers = max(1, min(machine.num_cores(), fitting))
    return (
        num_workers
        if num_tasks is None
        else min(num_workers, num_tasks // _TASKS_A_WORKER)
    )


def ordered_map(
    function: Callable[[Any, Task], Any],
    tasks: Iterable[Task],
    *,
    context: Any,
    num_workers: int,
    on_lost: Callable[[Task, str], Any] | None = None,
    name: Callable[[Task], str] = str,
) -> Generator[Any, None, None]:
    """Yields function(context, task) for every task, in the order of the tasks.

    A worker that dies, or gives no sign of its task for `SILENT_S`, is replaced, and
    its task done once more; a task that has cost two workers is lost. At most four
    tasks a worker are under way, so that memory stays flat however slow the consumer
    is.

    Args:
        function: Of a module, so that a worker can import it. One that takes long
            calls `heartbeat` now and then.
        tasks: Small, picklable; read as workers become free.
        context: Picklable; sent to each worker once.
        num_workers: Processes; 0 or 1: this one alone, which a task that crashes or
            hangs takes along. See `resolve_num_workers`.
        on_lost: (task, what happened) -> the result of a task that is lost.
        name: Of a task, in messages.

    Raises:
        StuckError: A task is lost, and there is no `on_lost`; or workers cannot start.
            Exceptions of `function` come through as they are.
    """
    if num_workers > 1:
        pool = _Pool(function, context, on_lost, name)
        try:
            if pool.start(num_workers):
                yield from pool.map(iter(tasks))
                return
        finally:
            pool.end()
    for task in tasks:
        yield function(context, task)


class _Pool:
    def __init__(self, function, context, on_lost, name):
        self._function, self._context = function, context
        self._on_lost, self._name = on_lost, name
        self._workers: list[Worker] = []
        self._pending: collections.deque[tuple[int, Any]] = collections.deque()
        self._results: dict[int, Any] = {}
        self._suspects: set[int] = set()  # tasks that have cost a worker

    def start(self, num_workers: int) -> bool:
        """Starts workers; False if the system allows none."""
        try:
            for _ in range(num_workers):
                self._workers.append(Worker(self._function, self._context))
        except OSError as error:
            count = len(self._workers) or "this process alone in place of"
            print(f"{count} workers: no more can start ({error})", file=sys.stderr)
        return bool(self._workers)

    def end(self) -> None:
        """Ends all workers."""
        for worker in self._workers:
            worker.end()

    def map(self, tasks: Iterator[Any]) -> Iterator[Any]:
        numbered, window = enumerate(tasks), 4 * len(self._workers)
        num_read = first = 0  # of the tasks; of those whose result is not yielded
        while True:
            while num_read < first + window and (one := next(numbered, None)):
                self._pending.append(one)
                num_read += 1
            if first == num_read:
                return
            self._assign()
            self._poll()
            while first in self._results:
                yield self._results.pop(first)
                first += 1

    def _assign(self) -> None:
        """Gives each worker a task, and then one more to find when that is done."""
        for load in (0, 1):
            for worker in self._workers:
                if len(worker.tasks) == load and self._pending:
                    worker.tasks.append(self._pending.popleft())
                    worker.send(worker.tasks[-1][1])

    def _poll(self) -> None:
        """Takes what workers have to say, or counts the time that they are silent."""
        started = time.monotonic()
        ready = connection.wait([worker.pipe for worker in self._workers], TICK_S)
        seconds = min(TICK_S, time.monotonic() - started)
        for place, worker in enumerate(self._workers):
            try:
                if worker.pipe in ready:
                    self._take(worker, *worker.receive())
                elif worker.tasks:
                    worker.wait(seconds)
            except LostError as lost:
                worker.end()
                self._put_back(worker, str(lost))
                self._workers[place] = Worker(self._function, self._context)

    def _take(self, worker: Worker, kind: int, value: Any) -> None:
        if kind == ERROR:
            raise value
        if kind == END:
            number, _ = worker.tasks.popleft()
            self._results[number] = value

    def _put_back(self, worker: Worker, what: str) -> None:
        """Lets the tasks of a lost worker be done by others."""
        if not worker.tasks or "could not start" in what:
            raise StuckError(f"a worker is lost: {what}; what is done is kept")
        number, task = worker.tasks[0]
        if number not in self._suspects:
            self._suspects.add(number)
            message = f"{self._name(task)}: {what}: it is tried once more"
        elif self._on_lost is None:
            raise StuckError(f"{self._name(task)}: {what}, twice; what is done is kept")
        else:
            self._results[number] = self._on_lost(task, what)
            worker.tasks.popleft()
            message = f"{self._name(task)}: {what}, twice: it is left out"
        print(message, file=sys.stderr)
        self._pending.extendleft(reversed(worker.tasks))
