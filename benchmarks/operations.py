"""Counts what a program multiplies, from its jaxpr: before any compiler changes it."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax


class Work(NamedTuple):
    """Of all matrix products and convolutions of a program."""

    operations: float  # multiplications and additions
    bytes: float  # of their inputs and results: the least that memory must carry

    def __add__(self, other: Any) -> "Work":
        return Work(self.operations + other.operations, self.bytes + other.bytes)

    def times(self, count: int) -> "Work":
        """The same, so often."""
        return Work(count * self.operations, count * self.bytes)


def work_of(function: Callable, *arguments) -> Work:
    """Counts the matrix products and convolutions of a function.

    A product of [m, k] and [k, n] has 2 m k n operations. Padding is counted as if it
    were there. A `while` of unknown length counts once.

    Args:
        function: Anything that JAX can trace, jit and shard_map included.
        *arguments: Arrays, or `jax.ShapeDtypeStruct`.

    Example:
        >>> import jax.numpy as jnp
        >>> work_of(jnp.matmul, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
        Work(operations=60.0, bytes=124.0)
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> Work:
    return sum((_of_equation(one) for one in jaxpr.eqns), Work(0.0, 0.0))


def _of_equation(equation: Any) -> Work:
    parameters, name = equation.params, equation.primitive.name
    if name in ("dot_general", "conv_general_dilated"):
        inputs = [variable.aval for variable in equation.invars]
        (result,) = [variable.aval for variable in equation.outvars]
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            terms = math.prod(inputs[0].shape[axis] for axis in contracted)
        else:  # of the kernel, all but the axis of the results
            axes = parameters["dimension_numbers"].rhs_spec[1:]
            terms = math.prod(inputs[1].shape[axis] for axis in axes)
        moved = sum(x.size * x.dtype.itemsize for x in (*inputs, result))
        return Work(2.0 * terms * result.size, float(moved))
    within = sum((_count(one) for one in programs_of(parameters)), Work(0.0, 0.0))
    if name == "scan":
        return within.times(parameters["length"])
    if name == "shard_map":
        return within.times(parameters["mesh"].size)
    return within


def programs_of(parameters) -> Iterator[Any]:
    """All programs that an equation calls; of a custom gradient, the forward one."""
    for value in parameters.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            program = getattr(one, "jaxpr", one)
            if hasattr(program, "eqns"):
                yield program
