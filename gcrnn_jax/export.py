r"""Exports a model to programs that run without this package: StableHLO and ONNX.

    python -m gcrnn_jax.export runs/sed/averaged

writes runs/sed/averaged_exported with model.stablehlo (of features),
waveform.stablehlo (of waveforms), model.onnx (of features), card.json and a README.md
with six lines for the use of each, and the way from waveforms to features in NumPy.
Batch and time are free. Before anything is kept, each program is compared with the
model on a CPU, on noise and recordings of three lengths: StableHLO in a process of its
own, ONNX in onnxruntime. They may differ by at most 1e-5; by how much they do is in the
card.
Features that an ONNX model gives (`configs/embeddings.py`) have that model beside the
programs, front_end.onnx, in place of waveform.stablehlo.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.errors import run_command
from gcrnn_jax.fields import command_parser, user_path

EXAMPLES = """\
examples:
  python -m gcrnn_jax.export runs/sed
  python -m gcrnn_jax.export runs/sed/averaged --formats onnx --output sed_onnx
"""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    import jax

    # the comparison is of what each program computes, not of accelerators' rounding
    jax.config.update("jax_platforms", "cpu")
    from gcrnn_jax.exporting import export_model
    from gcrnn_jax.runs import load_model
    from gcrnn_jax.runs.loading import trained_model_path
    from gcrnn_jax.training.parallel import configure_jax

    configure_jax(cpu_devices=1)
    path = Path(os.path.abspath(flags.model))
    output = flags.output or path.with_name(f"{path.name}_exported")
    model = load_model(path)
    print(f"exporting {trained_model_path(path)}", flush=True)
    card = export_model(model, output, tuple(dict.fromkeys(flags.formats.split(","))))
    for program, entries in card["exported"]["parity"]["programs"].items():
        largest = max(entry["largest_difference"] for entry in entries)
        size = (output / program).stat().st_size
        print(f"{program}: {size / 1e6:.2f} MB, differs by at most {largest:.1e}")
    print(f"wrote {output}: compared on {card['exported']['parity']['real_input']}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.export", __doc__, EXAMPLES)
    add, formats = parser.add_argument, "stablehlo,onnx"
    model = "a run's folder (its averaged model), an averaged model or a checkpoint"
    add("model", type=user_path, metavar="MODEL", help=model)
    format_help = "default: %(default)s; `predict` runs what has stablehlo"
    add("--formats", default=formats, metavar="LIST", help=format_help)
    output = "default: MODEL_exported, beside the model; replaced if it is there"
    add("--output", type=user_path, metavar="FOLDER", help=output)
    return parser


if __name__ == "__main__":
    run_command(main)
