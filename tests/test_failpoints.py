"""Faults happen where and when they are set, and every point is driven by a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gcrnn_jax import failpoints
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.failpoints import POINTS, failpoint

ROOT = Path(__file__).parents[1]


def names_in(folder, pattern):
    return {
        name
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(pattern, path.read_text())
    }


def test_points_are_those_of_the_package_and_tests_drive_each():
    assert names_in("gcrnn_jax", r'failpoint\("([a-z.]+)"\)') == set(POINTS)
    driven = names_in(
        "tests", r'"([a-z]+\.[a-z]+)(?:@\d+)?:(?:kill|raise|enospc|hang)"'
    )
    assert driven == set(POINTS)
    assert len(POINTS) >= 16


def test_a_fault_happens_the_nth_time_and_once(fails_at):
    passed = []
    with fails_at("train.step@2:raise"):
        for name in ("train.step", "train.epoch", "train.step"):
            failpoint(name)
            passed.append(name)
    assert passed == ["train.step", "train.epoch"]
    failpoint("train.step")


@pytest.mark.parametrize(
    "setting",
    ["train.step", "nowhere:kill", "train.step:die", "train.step@0:kill", "x"],
)
def test_a_setting_that_is_none_is_refused(setting):
    with pytest.raises(ConfigError, match=r"GCRNN_FAILPOINT: expected .*prepare\.clip"):
        failpoints.arm(setting)


@pytest.mark.parametrize(
    ("setting", "code"),
    [("save.done:kill", -9), ("save.done:term", -15), ("save.done:enospc", 1), ("", 0)],
)
def test_the_environment_sets_a_fault(setting, code):
    program = "from gcrnn_jax.failpoints import failpoint; failpoint('save.done')"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "GCRNN_FAILPOINT": setting},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert result.returncode == code
