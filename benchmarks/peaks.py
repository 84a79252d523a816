"""The device, the versions, and the device's rates: matrix products and copying.

    python -m benchmarks.peaks

Needs JAX alone. Prints figures for `benchmarks.plan`.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def print_figure(name: str, /, **fields: Any) -> None:
    """Prints a figure as `benchmarks.plan` reads it."""
    print(json.dumps({"figure": name, **fields}), flush=True)


def median_seconds(function: Callable[[], object], steps: int, warmup: int = 1):
    """The median time of a call, its results waited for."""
    seconds = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warmup:])


def matrix_rate(devices: Sequence[Any], size: int, dtype: str, steps: int):
    """Operations a second of all devices, of products with float32 results."""
    x = _spread(np.random.default_rng(0).standard_normal, devices, (size, size), dtype)
    multiply = jax.jit(lambda x: jnp.matmul(x, x, preferred_element_type=jnp.float32))
    return 2.0 * x.size * size / median_seconds(lambda: multiply(x), steps)


def copy_rate(devices: Sequence[Any], size: int, steps: int):
    """Bytes a second of all devices, read and written."""
    x = _spread(np.ones, devices, (4 * size, size), "float32")
    copy = jax.jit(lambda x: x + 1)
    return 2.0 * x.nbytes / median_seconds(lambda: copy(x), steps)


def _spread(make, devices: Sequence[Any], shape: tuple[int, ...], dtype: str):
    """The same array on every device, as one [devices, *shape]."""
    sharding = NamedSharding(
        Mesh(np.asarray(devices), ("data",)), PartitionSpec("data")
    )
    rows = np.broadcast_to(make(shape).astype(np.float32), (len(devices), *shape))
    return jax.jit(lambda x: x.astype(dtype), out_shardings=sharding)(
        jax.device_put(rows, sharding)
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, help="of the matrices")
    parser.add_argument("--steps", type=int, default=10)
    flags = parser.parse_args()
    device = jax.devices()[0]
    print_figure(
        "device",
        platform=device.platform,
        kind=device.device_kind,
        driver=_driver(),
        python=platform.python_version(),
        **{name: _version(name) for name in _VERSIONS},
    )
    size = flags.size or (512 if device.platform == "cpu" else 8192)
    for dtype in ("bfloat16", "float32"):
        rate = matrix_rate([device], size, dtype, flags.steps)
        print_figure("peak", of=f"matrix product, {dtype}", per_s=rate)
    print_figure("peak", of="copy", per_s=copy_rate([device], size, flags.steps))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    line = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.check_output(line, text=True, timeout=10).strip()
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    main()
