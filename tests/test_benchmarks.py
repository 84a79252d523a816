"""The operations that benchmarks count, and that they still run."""

import csv
import json
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks import scaling, starts
from benchmarks.operations import work_of
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.runs import Run
from gcrnn_jax.training import parallel
from tests.conftest import make_folder

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


def test_a_step_on_many_gpus_is_its_counts_over_their_rates():
    rates = ["--operations=1e12", "--memory=1e13", "--share=0.5", "--nvlink=1e9"]
    rates += ["--infiniband=1e8", "--product_us=10", "--all_reduce_us=50"]
    flags = scaling.make_parser().parse_args(rates)
    counts = scaling.Counts(1e9, 1e6, 100, 2, 1_000_000)
    parts = [scaling.step_seconds(counts, flags, 16, gpus) for gpus in (1, 8, 16)]
    assert [one["products"] for one in parts] == pytest.approx([32e-3, 4e-3, 2e-3])
    assert [one["scan"] for one in parts] == pytest.approx([1e-3] * 3)
    expected = [0, 1.75e-3 + 100e-6, 18.75e-3 + 100e-6]
    assert [one["all-reduce"] for one in parts] == pytest.approx(expected)
    flags.memory = 1e8  # then the bytes bind: 1e6 / (0.5 x 1e8) a clip
    parts = scaling.step_seconds(counts, flags, 16, 8)
    assert parts["products"] == pytest.approx(40e-3)


def test_scaling_counts_the_products_of_the_gru_and_all_sums_over_devices():
    counts = scaling.count_step(scaling.make_parser().parse_args(["--filters=2"]))
    # of 240 frames two products forward and four back
    assert counts.in_turn == 240 * 6
    # of seven BatchNorms one forward and one back, and one of all gradients
    assert counts.all_reduces == 7 * 2 + 1
    assert counts.reduced_bytes > 4 * 7 * 2 * 2


def test_a_benchmark_runs_and_keeps_its_figures(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_RESULTS", str(tmp_path))
    flags = ("--batch=2", "--filters=2", "--size=64", "--rounds=1", "--steps=1")
    result = commands.run(*flags, "--task=at", module="benchmarks.ceilings")
    assert result.returncode == 0, result.stderr
    kept = json.loads((tmp_path / "ceilings_at_float32_batch_2.json").read_text())
    assert kept["a step"]["operations"] > 1e6 and "operations" in result.stdout


def test_the_fields_scores_are_timed(commands):
    flags = "--clips=6", "--classes=3"
    result = commands.run(*flags, module="benchmarks.field_scores")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["score"] for line in lines[-2:]] == ["PSDS1", "PSDS2"]
    assert 0 < lines[-2]["value"] < lines[-1]["value"] <= 1


def test_reporting_is_timed_and_leaves_nothing(commands, tmp_path):
    flags = ("--clips=30", "--frames=24", "--classes=5", "--epochs=2", "--fit=20")
    folder = f"--folder={tmp_path}"
    result = commands.run(*flags, folder, module="benchmarks.reporting")
    assert result.returncode == 0, result.stderr
    assert "epochs 20:30:10 fused" in result.stdout and "report.html" in result.stdout
    assert "generate posteriors" in result.stdout and "resident" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_some_clips_of_a_data_set_are_even_and_among_those_of_more(tmp_path):
    """A clip of the third class has the first too, which so has twice as many."""
    fold = make_folder(tmp_path / "fold", {"training": 24, "validation": 3})
    rows = {}
    for size in (5, 12, 24):
        root = tmp_path / str(size)
        starts.make_subset(fold, root, size)
        starts.make_subset(fold, root, size)  # the command again
        with open(root / "training_set.csv", newline="") as file:
            rows[size] = list(csv.reader(file))
        assert len({tuple(row) for row in rows[size]}) == size
        assert (root / "audio" / "validation").is_dir()
        assert (root / "validation_set.csv").read_text().count("\n") == 3
    assert rows[5] == rows[12][:5] and rows[12] == rows[24][:12]
    counts = Counter(one for row in rows[12] for one in row[-1].split(","))
    assert max(counts.values()) - min(counts.values()) <= 1
    every = list(csv.reader((fold / "training_set.csv").read_text().splitlines()))
    assert sorted(rows[24]) == sorted(every)


def test_starts_are_scored_over_folds_side_by_side(finished_run, tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("scratch-1-7", "scratch-2-7", "started-1-7", "started-2-7"):
        (tmp_path / "runs" / name).symlink_to(finished_run.workdir)
    text = starts.tables(tmp_path, ["1", "2"], [7, 8])  # none of 8 has been trained
    run = Run.open(finished_run.workdir)
    split = run.open_store().find_split(None)
    posteriors = PosteriorSet.load(run.results(split) / "posteriors.npz")
    row = Evaluator(split, None).with_fitted_thresholds("", posteriors, None)
    f1 = f"{100 * row.scores.values['f1']:.1f}"
    line = next(line for line in text.splitlines() if "| tag F1 |" in line)
    cells = line.strip("| ").split(" | ")
    assert cells[0] == "7" and cells[2] == cells[3] and cells[2].startswith(f"{f1} (")
    assert cells[4] == "+0.0"  # no draw differs
    assert "| 8 |" not in text and text.count("\n| 7 |") == 4
