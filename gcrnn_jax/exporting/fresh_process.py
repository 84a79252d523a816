"""Runs a StableHLO program where gcrnn_jax cannot be imported, as its users do.

Started by `gcrnn_jax.exporting.parity` as a file, and not as part of the package:
    python -I fresh_process.py PROGRAM INPUTS.npz OUTPUTS.npz
"""

import sys
from pathlib import Path

import jax
import numpy as np
from jax import export


def main(program: str, inputs: str, outputs: str) -> None:
    """Keeps, for every input NAME, the program's NAME.clip and NAME.frame."""
    sys.modules["gcrnn_jax"] = None  # type: ignore[assignment]  # its import fails
    call = jax.jit(export.deserialize(bytearray(Path(program).read_bytes())).call)
    found = {}
    with np.load(inputs) as arrays:
        for name in arrays.files:
            clip, frame = call(arrays[name])
            found |= {f"{name}.clip": clip, f"{name}.frame": frame}
    np.savez(outputs, allow_pickle=False, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
