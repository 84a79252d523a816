"""Runs a StableHLO program where gcrnn_jax cannot be imported, as its users do.

Started by `gcrnn_jax.exporting.parity` as a file, and not as part of the package:
    python -I fresh_process.py PROGRAM INPUTS.npz OUTPUTS.npz
"""

import contextlib
import ctypes
import sys
from pathlib import Path

import jax
import numpy as np
from jax import export


def main(program: str, inputs: str, outputs: str) -> None:
    """Keeps, for every input, the program's clip and frame, one after the other."""
    with contextlib.suppress(OSError, AttributeError):  # another system than Linux
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: end with who started this
    sys.modules["gcrnn_jax"] = None  # type: ignore[assignment]  # its import fails
    call = jax.jit(export.deserialize(bytearray(Path(program).read_bytes())).call)
    with np.load(inputs) as arrays:
        posteriors = [x for name in arrays.files for x in call(arrays[name])]
    np.savez(outputs, *posteriors, allow_pickle=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
