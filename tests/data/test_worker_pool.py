"""Results come in the order of the tasks, whatever the workers do."""

import os

import pytest

from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import GcrnnError


def test_minus_one_is_a_process_a_core():
    assert resolve_num_workers(-1) == len(os.sched_getaffinity(0))
    assert [resolve_num_workers(n) for n in (0, 1, 3)] == [0, 1, 3]


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


def test_a_worker_that_dies_is_an_error_and_no_hang():
    end = "import os; os._exit(3)"
    with pytest.raises(GcrnnError, match="a worker process died"):
        list(ordered_map(exec, [{}], context=end, num_workers=2))


def test_workers_are_cheap_and_leave_this_process_as_it_was(monkeypatch):
    """One BLAS thread each, and nothing of this program but what they need."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    seen = (
        "__import__('os').environ['OPENBLAS_NUM_THREADS'], "
        "'jax' in __import__('sys').modules"
    )
    assert list(ordered_map(eval, [{}], context=seen, num_workers=2)) == [("1", False)]
    assert "OPENBLAS_NUM_THREADS" not in os.environ
