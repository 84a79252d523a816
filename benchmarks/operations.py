"""Counts what a program multiplies, from its jaxpr: before any compiler changes it."""

import math
from collections.abc import Callable

import jax
from jax.extend import core


def matrix_operations(function: Callable, *arguments) -> float:
    """Multiplications and additions of all matrix products and convolutions.

    A product of [m, k] and [k, n] has 2 m k n of them. Padding is counted as if it
    were there. A `while` of unknown length counts once.

    Args:
        function: Anything that JAX can trace, jit and shard_map included.
        *arguments: Arrays, or `jax.ShapeDtypeStruct`.

    Example:
        >>> import jax.numpy as jnp
        >>> matrix_operations(jnp.matmul, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
        60.0
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: core.Jaxpr) -> float:
    return sum((_of_equation(equation) for equation in jaxpr.eqns), 0.0)


def _of_equation(equation: core.JaxprEqn) -> float:
    parameters, name = equation.params, equation.primitive.name
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        terms = math.prod(shape[axis] for axis in contracted)
        return 2.0 * terms * math.prod(equation.outvars[0].aval.shape)
    if name == "conv_general_dilated":
        _, features, *window = parameters["dimension_numbers"].rhs_spec
        shape = equation.invars[1].aval.shape
        terms = math.prod(shape[axis] for axis in (features, *window))
        return 2.0 * terms * math.prod(equation.outvars[0].aval.shape)
    within = sum((_count(inner) for inner in _jaxprs(parameters)), 0.0)
    if name == "scan":
        return parameters["length"] * within
    if name == "shard_map":
        return parameters["mesh"].size * within
    return within


def _jaxprs(parameters):
    """All programs that an equation calls; of a custom gradient, the forward one."""
    for value in parameters.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            program = getattr(one, "jaxpr", one)
            if hasattr(program, "eqns"):
                yield program
