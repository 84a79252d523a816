"""Memory is asked of the system once, and not anew in every step."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

# a temporary of 128 MB that every call needs again, in a thread of XLA's
PROGRAM = """
import os, resource
from gcrnn_jax.allocator import restart_tuned

if __name__ == "__main__":
    restart_tuned()
    import jax
    import jax.numpy as jnp

    @jax.jit
    def step(x):
        return jnp.outer(x, x) @ x

    x = jnp.arange(5792.0)
    faults = []
    for _ in range(4):
        step(x).block_until_ready()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    print(os.environ.get("GLIBC_TUNABLES"), faults[-1] - faults[1])
"""
PAGES = 2 * 5792**2 * 4 / 4096  # of 4 kB, of the temporaries counted


SET_BY_US = ("GLIBC_TUNABLES", "GCRNN_RESTARTED")


def start(tmp_path, *arguments, **environment):
    (tmp_path / "program.py").write_text(PROGRAM)
    variables = {k: v for k, v in os.environ.items() if k not in SET_BY_US}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**variables, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    tunables, faults = result.stdout.split()
    return tunables, int(faults)


def has_large_pages():
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.exists() and "[never]" not in path.read_text()


def test_temporaries_of_a_step_are_not_handed_out_page_by_page(tmp_path):
    library, version = platform.libc_ver()
    version = tuple(int(part) for part in version.split(".") if part)
    if library != "glibc" or version < (2, 35) or not has_large_pages():
        pytest.skip("needs glibc 2.35 or newer and pages of 2 MB")
    _, faults = start(tmp_path, "-m", "program")
    assert faults < 0.2 * PAGES


def test_options_written_together_are_understood(tmp_path):
    tunables, _ = start(tmp_path, "-um", "program")
    assert "hugetlb=1" in tunables


def test_a_program_is_started_anew_once(tmp_path):
    tunables, _ = start(tmp_path, "-m", "program", GCRNN_RESTARTED="1")
    assert tunables == "None"


def test_what_the_user_sets_stays(tmp_path):
    tunables, _ = start(
        tmp_path, "-m", "program", GLIBC_TUNABLES="glibc.malloc.check=0"
    )
    assert tunables == "glibc.malloc.check=0"


def test_a_program_started_otherwise_is_not_started_anew(tmp_path):
    tunables, _ = start(tmp_path, "program.py")
    assert tunables == "None"
