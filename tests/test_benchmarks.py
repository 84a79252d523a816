"""The operations that benchmarks count, and that they still run."""

import json

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.operations import work_of
from gcrnn_jax.training import parallel

X, KERNEL = jnp.zeros((2, 8, 6, 3)), jnp.zeros((5, 3, 3, 7))
CONVOLUTION = 2 * (2 * 8 * 6 * 7) * (5 * 3 * 3)
SQUARE = jnp.zeros((4, 4))


def convolve(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def test_a_convolution_is_its_outputs_times_its_window_and_channels():
    assert work_of(convolve, X, KERNEL).operations == CONVOLUTION


def test_a_gradient_has_twice_the_operations():
    gradient = jax.grad(lambda x, kernel: convolve(x, kernel).sum(), (0, 1))
    assert work_of(gradient, X, KERNEL).operations == 3 * CONVOLUTION


def test_a_batched_product_counts_every_matrix():
    x = jnp.zeros((5, 2, 3))
    assert work_of(lambda x: x @ x.swapaxes(1, 2), x) == (120, 4 * (30 + 30 + 20))


def test_a_scan_counts_every_round():
    def rounds(x):
        return lax.scan(lambda x, _: (x @ x, None), x, None, length=7)

    assert work_of(jax.jit(rounds), SQUARE) == (7 * 2 * 4**3, 7 * 3 * 64)


def test_devices_count_together():
    mesh = parallel.make_mesh(jax.devices()[:4])
    mapped = parallel.data_parallel(lambda _, x: x @ x[0], mesh, out_axes=parallel.AXIS)
    x = jnp.zeros((4, 2, 2))
    assert work_of(mapped, (), x).operations == 4 * 2 * 2**3


def test_a_benchmark_runs_and_keeps_its_figures(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_RESULTS", str(tmp_path))
    flags = ("--batch=2", "--filters=2", "--size=64", "--rounds=1", "--steps=1")
    result = commands.run(*flags, "--task=at", module="benchmarks.ceilings")
    assert result.returncode == 0, result.stderr
    kept = json.loads((tmp_path / "ceilings_at_float32_batch_2.json").read_text())
    assert kept["a step"]["operations"] > 1e6 and "operations" in result.stdout


def test_reporting_is_timed_and_leaves_nothing(commands, tmp_path):
    flags = ("--clips=30", "--frames=24", "--classes=5", "--epochs=2", "--fit=20")
    folder = f"--folder={tmp_path}"
    result = commands.run(*flags, folder, module="benchmarks.reporting")
    assert result.returncode == 0, result.stderr
    assert "epochs 20:30:10 fused" in result.stdout and "report.html" in result.stdout
    assert "generate posteriors" in result.stdout and "resident" in result.stdout
    assert list(tmp_path.iterdir()) == []
