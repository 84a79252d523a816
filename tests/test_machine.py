"""Cores and memory are those of the container, where it has fewer than the machine."""

import os

import pytest

from gcrnn_jax import machine
from gcrnn_jax.machine import available_bytes, num_cores
from gcrnn_jax.training.parallel import use_cpu_cores

V2, V1 = "0::/box/inner\n", "5:cpu,cpuacct:/box/inner\n4:memory:/box/inner\n"


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Writes files of a machine with 8 cores and 4 GB free."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "groups")

    def write(path, content):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    write("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n")
    return write


def test_without_groups_the_affinity_and_the_free_memory_count(files):
    assert (num_cores(), available_bytes()) == (8, 4000000 * 1024)


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("100000 100000", 1),
        ("150000 100000", 2),
        ("max 100000", 8),
        ("50000 100000", 1),
    ],
)
@pytest.mark.parametrize("place", ["box/inner/", "box/", ""])
def test_a_quota_anywhere_above_counts(files, content, cores, place):
    files("proc/self/cgroup", V2)
    files(f"groups/{place}cpu.max", content)
    assert num_cores() == cores


def test_version_1_counts_too(files):
    files("proc/self/cgroup", V1)
    files("groups/cpu,cpuacct/cpu.cfs_quota_us", "200000\n")
    files("groups/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    files("groups/memory/box/memory.limit_in_bytes", "1000000000\n")
    files("groups/memory/box/memory.stat", "cache 7\ntotal_rss 400000000\n")
    assert (num_cores(), available_bytes()) == (2, 600000000)
    files("groups/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    assert num_cores() == 8


@pytest.mark.parametrize(
    ("group", "quota", "has_period"),
    [
        ("0::/\n", "cpu.max", False),  # version 2: a pod sees its own group alone
        ("7:cpuacct,cpu:/kubepods/pod1/2\n", "cpu/cpu.cfs_quota_us", True),
        ("7:cpu,cpuacct:/kubepods/pod1/2\n", "cpu,cpuacct/cpu.cfs_quota_us", True),
    ],
)
def test_the_limit_of_a_pod_counts(files, group, quota, has_period):
    """As of `limits: {cpu: 2500m}`: devices are as many as the cores it may fill."""
    files("proc/self/cgroup", group)
    files(f"groups/{quota}", "250000\n" if has_period else "250000 100000\n")
    if has_period:
        files(f"groups/{quota.replace('quota', 'period')}", "100000\n")
    assert num_cores() == 3


def test_a_limit_of_memory_less_what_is_used_counts(files):
    files("proc/self/cgroup", V2)
    files("groups/box/memory.max", "2000000000\n")
    files("groups/box/memory.stat", "anon 500000000\nfile 9\n")
    assert available_bytes() == 1500000000
    files("groups/box/memory.max", "max\n")
    assert available_bytes() == 4000000 * 1024


def test_devices_are_as_many_as_cores(files, monkeypatch):
    files("proc/self/cgroup", V2)
    files("groups/cpu.max", "300000 100000")
    set_to = {}
    monkeypatch.setattr("jax.config.update", set_to.__setitem__)
    use_cpu_cores()
    assert set_to == {"jax_num_cpu_devices": 3}


@pytest.mark.parametrize(
    ("batch_size", "num_devices"),
    [(44, 8), (32, 8), (10, 5), (7, 7), (9, 5), (1, 1), (45, 8), (12, 6)],
)
def test_devices_are_no_more_than_lessen_the_clips_of_each(
    files, monkeypatch, batch_size, num_devices
):
    """Ten clips on eight cores: two each on five of them, and on no more."""
    set_to = {}
    monkeypatch.setattr("jax.config.update", set_to.__setitem__)
    use_cpu_cores(batch_size)
    assert set_to == {"jax_num_cpu_devices": num_devices}
