"""The C library's allocator, set up for what XLA asks of it on a CPU."""

import os
import sys

# of glibc; one that does not know them, or another library, goes on as it is
_TUNABLES = {
    "hugetlb": 1,  # ask the system for pages of 2 MB where it has them for the asking
    "mmap_max": 0,  # keep what was freed ...
    "trim_threshold": 1 << 40,  # ... instead of giving it back
}


def restart_tuned() -> None:
    """Starts the running `python -m MODULE` anew with its allocator set up.

    XLA allocates the temporaries of every step anew. In pages of 4 kB the system
    takes a third of the time of a step to hand them out, and the C library reads what
    would spare it that only when a process begins. GLIBC_TUNABLES, if set, has
    precedence; a program started in another way goes on as it is.
    """
    name = getattr(sys.modules["__main__"].__spec__, "name", None)
    by_module = f" -m {name} " in f"{' '.join(sys.orig_argv)} "
    if not by_module or "GLIBC_TUNABLES" in os.environ:
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(
        f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items()
    )
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
