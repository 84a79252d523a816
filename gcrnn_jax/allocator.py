"""The C library's allocator, set up for what XLA asks of it on a CPU."""

import os
import re
import sys
from pathlib import Path

from gcrnn_jax.errors import hold_signals

# of glibc; one that does not know them, or another library, goes on as it is
_TUNABLES = {
    "hugetlb": 1,  # transparent huge pages, where they are set to madvise or always
    "mmap_max": 0,  # keep what was freed ...
    "trim_threshold": 1 << 40,  # ... instead of giving it back
}

_RESTARTED = "GCRNN_RESTARTED"


def restart_tuned() -> None:
    """Starts the running `python -m MODULE` or `gcrnn` anew, its allocator set up.

    XLA allocates the temporaries of every step anew. In pages of 4 kB the system
    takes a third of the time of a step to hand them out, and the C library reads what
    would spare it that only when a process begins. GLIBC_TUNABLES, if set, has
    precedence; a program started in another way, as a notebook is, goes on as it is.
    """
    settled = {_RESTARTED, "GLIBC_TUNABLES"} & set(os.environ)
    if settled or not _can_be_restarted():
        return
    os.environ[_RESTARTED] = "1"
    os.environ["GLIBC_TUNABLES"] = ":".join(
        f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items()
    )
    hold_signals()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _can_be_restarted() -> bool:
    """Whether the program was started as `gcrnn` or `python -um MODULE`."""
    if Path(sys.argv[0]).name == "gcrnn" and sys.argv[0] in sys.orig_argv:
        return True
    name = getattr(sys.modules["__main__"].__spec__, "name", "")
    name = name.removesuffix(".__main__")  # of `python -m gcrnn_jax`
    if name not in sys.orig_argv:
        return False
    option = sys.orig_argv[sys.orig_argv.index(name) - 1]
    return re.fullmatch(r"-[a-zA-Z]*m", option) is not None
