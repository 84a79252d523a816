"""The log of steps: what a line says of speed and time, by a clock of the test."""

import json
import types

import pytest

from gcrnn_jax.training import step_log
from gcrnn_jax.training.step_log import StepLog


@pytest.fixture
def clock(monkeypatch):
    """Seconds that have passed; the log reads them as both of its clocks."""
    now = types.SimpleNamespace(s=1000.0)
    fake = types.SimpleNamespace(monotonic=lambda: now.s, time=lambda: now.s)
    monkeypatch.setattr(step_log, "time", fake)
    return now


def open_log(path, first_step=0, **options):
    rate = lambda step: 0.1 * step  # noqa: E731
    fields = {"steps_per_epoch": 2, "batch_size": 8, "rate_at": rate, **options}
    return StepLog(path, first_step, **fields)


def test_the_speed_leaves_out_what_lies_between_epochs(tmp_path, clock):
    log = open_log(tmp_path / "log")
    for step, (passed, between) in enumerate([(9, 0), (2, 0), (4, 50), (1, 0)]):
        clock.s += between
        if between:
            log.resume()
        clock.s += passed
        log.write(step, 0.5, 1.0)
    log.close()
    lines = [json.loads(line) for line in open(tmp_path / "log")]
    assert [line["clips_per_s"] for line in lines] == [None, 4.0, 2.0, 3.2]
    assert [line["time_s"] for line in lines] == [1009.0, 1011.0, 1065.0, 1066.0]
    assert [line["epoch"] for line in lines] == [1, 1, 2, 2]
    assert [line["learning_rate"] for line in lines] == [0.0, 0.1, 0.2, 0.1 * 3]


def test_the_speed_is_a_mean_over_ten_steps(tmp_path, clock):
    lines = []
    log = open_log(tmp_path / "log", on_line=lines.append)
    for step in range(13):
        clock.s += 1 if step < 3 else 4
        log.write(step, 0.5, 1.0)
    log.close()
    speeds = [line["clips_per_s"] for line in lines]
    assert speeds[:4] == [None, 8.0, 8.0, 4.0]
    assert speeds[11] == 2.16  # ten steps in 37 s
    assert speeds[12] == 2.0  # the last ten, in 40 s


def test_lines_go_to_who_asks_for_them_and_steps_at_once_have_a_speed(tmp_path, clock):
    lines = []
    log = open_log(tmp_path / "log", on_line=lines.append)
    log.write(0, 0.5, 1.0)
    log.write(1, 0.5, 1.0)  # the clock stands
    log.flush()
    written = [json.loads(line) for line in open(tmp_path / "log")]
    log.close()
    assert [line["clips_per_s"] for line in lines] == [None, 8e9]
    assert [{**line, "crc32": None} for line in written] == [
        {**line, "crc32": None} for line in lines
    ]


def test_a_log_of_an_earlier_version_goes_on(tmp_path, clock, caplog):
    old = [{"step": step, "loss": 1.0, "grad_norm": 2.0} for step in range(3)]
    text = "".join(json.dumps(line) + "\n" for line in old)
    (tmp_path / "log").write_text(text)
    log = open_log(tmp_path / "log", first_step=2)
    log.write(2, 0.5, 1.0)
    log.close()
    lines = [json.loads(line) for line in open(tmp_path / "log")]
    assert lines[:2] == old[:2] and lines[2]["step"] == 2 and lines[2]["epoch"] == 2
    assert not caplog.records
