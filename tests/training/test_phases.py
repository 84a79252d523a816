"""The account of a run adds up over its starts, and a phase that hangs is noticed."""

import json
import time

import jax
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.training import phases
from gcrnn_jax.training.phases import PHASES, opened, phase


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

        def wait(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(phases, "time", clock)
    monkeypatch.setattr(phases.Account, "_watch", lambda _: None)
    return clock


def account_in(folder):
    return json.loads((folder / "goodput.json").read_text())


def test_time_is_of_the_innermost_phase_and_adds_up(tmp_path, clock):
    with opened(tmp_path) as account:
        clock.wait(1)
        with phase("evaluating"):
            clock.wait(2)
            with phase("saving"):
                clock.wait(4)
            clock.wait(8)
        with phase("stepping"):
            clock.wait(16)
            account.compiled(5.0)
        line = account.summary()
        clock.wait(1)
    content = account_in(tmp_path)
    assert {name: s for name, s in content["seconds"].items() if s} == {
        "other": 2,
        "evaluating": 10,
        "saving": 4,
        "stepping": 11,
        "compiling": 5,
    }
    assert content["wall_s"] == 32 and content["goodput"] == 11 / 32
    assert line == (
        "31.0 s in one start: compiling 16.1%, stepping 35.5%, "
        "evaluating 32.3%, saving 12.9%, other 3.2%"
    )
    with phase("stepping"):  # without an account it counts for nothing
        clock.wait(1)
    phases.stepped()


def test_starts_add_up_and_steps_computed_again_are_lost(tmp_path, clock):
    for first in (0, 6):  # the second start goes on two steps before the first's end
        with opened(tmp_path):
            phases.continued(first)
            for _ in range(8):
                with phase("stepping"):
                    clock.wait(3)
                phases.stepped()
            clock.wait(1)
        clock.wait(1000)  # between starts no time is spent
    content = account_in(tmp_path)
    expected = {"stepping": 42, "lost": 6, "other": 2}
    assert {name: s for name, s in content["seconds"].items() if s} == expected
    assert (content["starts"], content["steps"], content["wall_s"]) == (2, 14, 50)


@pytest.mark.parametrize("damage", ["field", "value"])
def test_a_damaged_account_is_begun_anew(tmp_path, clock, caplog, damage):
    path = tmp_path / "goodput.json"
    with opened(tmp_path):
        clock.wait(4)
    changed = path.read_text().replace('"starts": 1', '"starts": 3')
    path.write_text(changed if damage == "value" else '{"seconds": {"stepping": 3}}')
    with opened(tmp_path):
        clock.wait(1)
    assert account_in(tmp_path)["wall_s"] == account_in(tmp_path)["starts"] == 1
    assert "goodput.json: " in caplog.text and "time is counted anew" in caplog.text


def test_a_limit_that_is_no_number_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_STUCK_AFTER_S", "soon")
    with pytest.raises(ConfigError, match="^GCRNN_STUCK_AFTER_S: expected seconds"):
        with opened(tmp_path):
            pass


def test_what_compiles_anywhere_is_counted(tmp_path):
    with opened(tmp_path), phase("evaluating"):
        jax.jit(lambda x: x * time.time())(1.0)  # a program that no cache holds
    seconds = account_in(tmp_path)["seconds"]
    assert seconds["compiling"] > 0 and seconds["evaluating"] > 0
    assert seconds.keys() == set(PHASES)


@pytest.fixture
def stuck(monkeypatch):
    """What was found to hang, where 0.05 s are long."""
    found = []
    monkeypatch.setenv("GCRNN_STUCK_AFTER_S", "0.05")
    monkeypatch.setattr(phases, "_end_stuck", lambda name, _: found.append(name))
    return found


def test_a_phase_much_longer_than_usual_hangs(stuck):
    with opened(None):
        for _ in range(3):
            with phase("stepping"):
                pass
        with phase("stepping", is_watched=False):
            time.sleep(0.3)
        with phase("evaluating"):  # for the first time
            time.sleep(0.3)
        assert not stuck
        with phase("stepping"):
            time.sleep(0.3)
    assert stuck and set(stuck) == {"stepping"}


def test_a_phase_that_gives_signs_does_not_hang(stuck):
    with opened(None):
        with phase("evaluating"):
            time.sleep(0.02)
        with phase("evaluating"):
            for _ in range(10):
                time.sleep(0.03)
                phases.heartbeat()
    assert not stuck


def test_what_is_usual_is_learnt(stuck):
    with opened(None) as account:
        limits = [account._limit_s("saving", True)]
        for _ in range(3):
            account._durations["saving"].append(2.0)
        limits.append(account._limit_s("saving", True))
    assert limits == pytest.approx([0.05 * 10 * 60, 20.0])


@pytest.mark.parametrize("seconds", ["0"])
def test_no_limit_can_be_set(monkeypatch, seconds):
    monkeypatch.setenv("GCRNN_STUCK_AFTER_S", seconds)
    with opened(None) as account:
        assert account._limit_s("stepping", True) == float("inf")
