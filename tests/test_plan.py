"""The plan of GPU measurements: its time, its failures, and what its figures say."""

import gzip
import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import plan
from benchmarks.bars import report_bars
from benchmarks.kernels import Kernel, read_kernels
from benchmarks.plan import Item, Recorder, gpu_items, run_plan
from benchmarks.variants import (
    AS_IT_IS,
    NO_GRU,
    VARIANTS,
    best_together,
    best_variant,
)

DEVICE = {"figure": "device", "platform": "gpu", "kind": "H0", "driver": "1"}


def python(code, name="item", **fields):
    fields = {"cap_s": 60, "needs": (), **fields}
    return Item(name, ("-c", code), **fields)


def figure(**fields):
    line = json.dumps({"figure": "rate", **fields})
    return f"print({line!r}, flush=True)"


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path / "output")


def outcomes(recorder):
    return [one["outcome"] for one in recorder if one["figure"] == "item"]


def test_an_item_that_fails_or_hangs_is_a_line_and_the_next_one_runs(
    recorder, monkeypatch, capsys
):
    monkeypatch.setattr(plan, "_LEAST_S", 0.0)
    # its own session and its hold on the output outlive the one that is killed
    left_behind = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(5)'], start_new_session=True);"
    )
    items = [
        python(f"{left_behind} {figure(value=1)}; import time; time.sleep(60)"),
        python("raise ValueError('no such kernel')"),
        python(figure(value=2)),
    ]
    items[0] = items[0]._replace(cap_s=0.5)
    run_plan(items, recorder, 100)
    stopped, failed, done = outcomes(recorder)
    assert stopped.startswith("STOPPED") and done == "done"
    assert failed == "FAILED (1): ValueError: no such kernel"
    assert [one["value"] for one in recorder if "value" in one] == [1, 2]
    assert "no such kernel" in capsys.readouterr().out


def test_every_figure_is_a_line_of_json_and_everything_else_is_in_the_log(
    recorder, tmp_path
):
    items = [python(f"print('a warning'); {figure(value=0.5)}", name="step")]
    run_plan(items, recorder, 100)
    lines = (tmp_path / "output/figures.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == recorder
    assert recorder[0]["item"] == "step" and recorder[0]["value"] == 0.5
    assert "a warning\n" in (tmp_path / "output/log.txt").read_text()


def test_items_that_all_hang_end_within_the_limit(recorder, monkeypatch):
    clock, limits = [0.0], []

    def hang(item, limit_s, recorder):
        limits.append(limit_s)
        clock[0] += limit_s
        return "STOPPED"

    monkeypatch.setattr(plan, "_run_item", hang)
    monkeypatch.setattr(plan, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    caps = [30, *[1000] * 9]
    items = [python("", cap_s=cap) for cap in caps]
    run_plan([*items, python("", takes_rest=True, cap_s=1000)], recorder, 106)
    assert limits[:3] == [30, 35, 17.5] and clock[0] <= 100
    assert outcomes(recorder)[-2] == "left out: no time"
    assert limits[-1] == 100 - sum(limits[:-1])


def test_an_item_whose_module_is_missing_is_left_out(recorder):
    run_plan([python(figure(), needs=("json", "no_such_module"))], recorder, 100)
    assert outcomes(recorder) == ["left out: no module no_such_module"]


def test_a_flag_that_xla_does_not_know_is_the_reason_given(recorder):
    environment = {"XLA_FLAGS": "--xla_gpu_nonsense=1"}
    item = python("import jax; jax.devices()", environment=environment)
    run_plan([item], recorder, 100)
    assert "Unknown flag in XLA_FLAGS: --xla_gpu_nonsense=1" in outcomes(recorder)[0]


def steps(rates, batches=(44, 256)):
    """Made-up figures: rates of variants at both batches."""
    return [
        {"figure": "step", "variant": name, "batch": batch, "clips_per_s": rate}
        | {"operations": 2e9 * batch, "bytes": 1e6 * batch}
        for name, rate in rates.items()
        for batch in batches
    ]


RATES = {
    AS_IT_IS: 1000.0,
    "WHILE in command buffers": 1500.0,
    "WHILE in command buffers, unrolled": 1400.0,
    "reset after": 1200.0,
    "unroll 4": 1010.0,
    NO_GRU: 4000.0,
}


def test_the_best_of_each_kind_that_pays_go_together():
    together = best_together(steps(RATES))
    assert together and together.flags == ("--reset_after",)
    assert together.xla_flags == ("--xla_gpu_enable_command_buffer=+WHILE",)
    assert best_variant(steps(RATES)).name == "WHILE in command buffers"
    assert best_variant(steps({**RATES, together.name: 1600.0})) == together
    assert best_together(steps({AS_IT_IS: 1.0, "O1": 2.0})) is None
    assert best_variant([]).name == AS_IT_IS


def test_what_comes_later_in_the_plan_runs_with_what_was_best(recorder, tmp_path):
    for one in (DEVICE, *steps(RATES)):
        recorder.append(one)
    items = list(gpu_items(recorder, tmp_path, "python peer.py"))
    names = [item.name.split(":")[0] for item in items]
    steps_of_plan = ["step"] * (len(VARIANTS) + 1)
    assert names[:2] == ["device", "correctness"] and names[2:-6] == steps_of_plan
    assert names[-6:] == ["peer", "peer", "loop", "profile", "run", "tables"]
    peer = items[-6]
    assert peer.environment["XLA_FLAGS"] == "--xla_gpu_enable_command_buffer=+WHILE"
    assert {"--compile", "--peer=python peer.py", "256"} <= set(peer.arguments)
    assert not items[-3].environment, "a graph of kernels has no kernels to profile"


def test_nothing_is_measured_where_jax_does_not_see_the_gpu(recorder, tmp_path):
    recorder.append({**DEVICE, "platform": "cpu"})
    assert len(list(gpu_items(recorder, tmp_path, None))) == 1


def test_bars_are_met_or_not_or_not_measured():
    figures = [
        DEVICE,
        *steps(RATES),
        {"figure": "peak", "of": "matrix product, bfloat16", "per_s": 1e13},
        {"figure": "check", "passed": True},
        {"figure": "item", "item": "correctness", "outcome": "done", "seconds": 1},
        {"figure": "peer", "batch": 44, "train_ratio": 1.4, "inference_ratio": 1.2},
        {"figure": "loop", "side": "loader", "clips_per_s": 800.0},
        {"figure": "loop", "side": "clips on the devices", "clips_per_s": 1000.0},
        {"figure": "loop", "side": "one batch on the devices", "clips_per_s": 1020.0},
    ]
    lines = report_bars(figures).splitlines()

    def row(start):
        [line] = [line for line in lines if line.startswith(start)]
        return [cell.strip() for cell in line.split("  ") if cell.strip()][1:]

    assert row("correctness") == ["1", "met"]
    assert row("train, batch 44: ratio") == ["1.400", "met"]
    assert row("inference, batch 44: ratio") == ["1.200", "NOT MET"]
    assert row("train, batch 256: ratio") == ["-", "not measured"]
    assert row("train, batch 44: operations") == ["30.0%", "met"]
    assert row("train, batch 44: bytes") == ["-"]
    assert row("loop") == ["+2.0%", "met"]
    assert (
        row("configs/sed.py")[1] == "not measured; 440 s of steps by the slowest loop"
    )
    assert row("step, unroll 16") == ["-", "not measured"]
    assert row("next: train with")[0] == "WHILE in command buffers"
    share = row("next: share of the GRU in the best step, batch 44")
    assert share == ["62.5%", "write a kernel for it (bar: over 30%)"]


def test_a_check_that_failed_or_never_came_is_no_bar_met():
    check = {"figure": "check", "passed": True}
    assert "0  NOT MET" in report_bars([{**check, "passed": False}])
    failed = {"figure": "item", "item": "correctness", "outcome": "FAILED (1): x"}
    assert "1  NOT MET" in report_bars([check, failed])
    assert "not measured" in report_bars([])


def test_kernels_of_a_gpu_are_those_of_its_streams(tmp_path):
    events = [
        named("process_name", "/host:CPU", 1),
        named("process_name", "/device:GPU:0", 2),
        named("thread_name", "Stream #13(Compute)", 2, 7),
        named("thread_name", "XLA Modules", 2, 8),
        named("thread_name", "tf_XLAEigen/1", 1, 9),
        ran("gemm", 30, 2, 7),
        ran("fusion_12", 5, 2, 7),
        ran("fusion.3", 5, 2, 7),
        ran("jit_step", 99, 2, 8),
        named("thread_name", "Stream of a host", 1, 10),
        ran("dot", 99, 1, 9),
        ran("copy", 99, 1, 10),
    ]
    expected = [("gemm", 1, 3e-5, 0.75), ("fusion", 2, 1e-5, 0.25)]
    assert_kernels(read_kernels(write(tmp_path, events)), expected)


def test_without_a_gpu_they_are_the_operations_of_xlas_threads(tmp_path):
    events = [  # as jax.profiler wrote them, without what it says of Python
        named("process_name", "/host:CPU", 701),
        named("thread_name", "python", 701, 666276257),
        named("thread_name", "tf_XLAPjRtCpuClient/3460238682419266752", 701, 267),
        ran("PjitFunction(<lambda>)", 3840.8, 701, 666276257),
        ran("ynn_fusion", 4471.5, 701, 267),
        ran("end: ynn_fusion", 1.1, 701, 267),
        ran("while.2", 4500.0, 701, 267),
        ran("ThunkExecutor::Execute (wait for completion)", 0.12, 701, 267),
    ]
    expected = [("ynn_fusion", 1, 4.4715e-3, 1.0)]
    assert_kernels(read_kernels(write(tmp_path, events)), expected)


def assert_kernels(found, expected):
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    for kernel, one in zip(found, expected, strict=True):
        assert kernel[2:] == pytest.approx(Kernel(*one)[2:])


def named(kind, name, pid, tid=None):
    place = {"pid": pid} if tid is None else {"pid": pid, "tid": tid}
    return {"ph": "M", "name": kind, "args": {"name": name}, **place}


def ran(name, microseconds, pid, tid):
    return {"ph": "X", "name": name, "dur": microseconds, "pid": pid, "tid": tid}


def write(folder, events):
    path = folder / "plugins/profile/1/host.trace.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode()))
    return folder


def test_the_plan_itself_needs_neither_jax_nor_the_package():
    code = "import sys, benchmarks.plan; sys.exit('jax' in sys.modules)"
    item = python(code)
    assert plan.subprocess.run([sys.executable, *item.arguments]).returncode == 0


def test_a_profile_of_the_step_lists_its_kernels(commands):
    tiny = ("--filters=2", "--blocks", "1", "1", "1", "1", "--batches", "2")
    flags = ("profile", "--task=at", "--devices=1", "--without_gru", *tiny)
    result = commands.run(*flags, module="benchmarks.figures")
    assert result.returncode == 0, result.stderr
    whole, *kernels = map(json.loads, result.stdout.splitlines())
    assert whole["ms"] > 0 and len(kernels) >= 5
    assert kernels[0]["share"] >= kernels[1]["share"] > 0
