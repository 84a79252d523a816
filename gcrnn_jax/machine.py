"""Cores and memory that this process may use, in a container too."""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


def num_cores() -> int:
    """The cores that this process may use: its affinity, and its container's quota.

    Source: cpu.max of version 2 and cpu.cfs_quota_us of version 1 in
        https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1.
    """
    quotas = [len(os.sched_getaffinity(0))]
    for folder in _cgroups("cpu"):
        quota, period, *_ = [*_read(folder / "cpu.max"), "", ""]
        if not quota:
            quota = "".join(_read(folder / "cpu.cfs_quota_us"))
            period = "".join(_read(folder / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal():  # "max" and "-1" are no limit
            quotas.append(math.ceil(int(quota) / int(period)))
    return max(1, min(quotas))


def available_bytes() -> int:
    """The memory that this process may still take; a container's limit included."""
    meminfo = _read(_PROC / "meminfo")
    free = [2**63]
    if "MemAvailable:" in meminfo:
        free.append(1024 * int(meminfo[meminfo.index("MemAvailable:") + 1]))
    for folder in _cgroups("memory"):
        stat = _read(folder / "memory.stat")
        counts = dict(zip(stat[::2], stat[1::2], strict=False))
        used = int(counts.get("anon", counts.get("total_rss", 0)))
        for file in ("memory.max", "memory.limit_in_bytes"):
            limit = "".join(_read(folder / file))
            if limit.isdecimal():
                free.append(int(limit) - used)
    return max(0, min(free))


def process_age_s() -> float:
    """Seconds since this process was started; 0 where the system does not say."""
    fields = _read(_PROC / "self/stat")
    fields = fields[1 + max(i for i, x in enumerate(fields) if x.endswith(")")) :]
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s


def _cgroups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, and those above them."""
    for line in "\n".join(_read(_PROC / "self/cgroup")).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        # version 1 mounts cpu and cpuacct together or each by itself
        for name in {controllers, controllers and controller}:
            root = _CGROUPS / name
            place = root / path.lstrip("/")
            # a container sees its own group as the root, whatever the path says
            yield from (p for p in (place, *place.parents) if p.is_relative_to(root))


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []
