r"""Finds the sounds in any recordings: tags and events, by one model or several fused.

    python -m gcrnn_jax.predict runs/sed recording.mp3 --output found
    python -m gcrnn_jax.predict runs/sed FOLDER --output found --formats events,audacity

Recordings have any format and length, 4 to 384 kHz and up to 32 channels; folders are
searched whole, linked ones too. What cannot be read is listed in errors.csv, and the
rest is done; so is what there is of recordings that end early, and they are listed as
incomplete; levels that are far beyond full scale, and channels that cancel, as
warnings. The same command again continues: it does only what is new. The tables are of
the recordings and models of the last command; they are written when all is done.
From Python:

    from gcrnn_jax import load_model
    prediction = load_model("runs/sed").predict(waveform, rate_hz)
"""

import argparse
from collections.abc import Sequence
from typing import Any

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser, user_path
from gcrnn_jax.prediction import formats, predict_recordings

EXAMPLES = """\
examples:
  python -m gcrnn_jax.predict runs/sed/averaged street.wav --output found
  python -m gcrnn_jax.predict runs/log_mel recordings --fuse runs/mfcc --output found
  python -m gcrnn_jax.predict runs/sed recordings --output found \\
      --formats events,tags,jsonl,dcase,audacity,raven,scores
  python -m gcrnn_jax.predict runs/sed recordings --output found --event_threshold 0.7
  python -m gcrnn_jax.predict runs/sed ./-name.wav --output found
"""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    names = [name.strip() for name in flags.formats.split(",")]
    wanted = list(dict.fromkeys([*names, *["plot"] * flags.plot]))
    if flags.batch_size < 1:
        raise ConfigError(f"--batch_size: expected 1 or more, got {flags.batch_size}")
    restart_tuned()
    from gcrnn_jax.prediction.loading import load_model
    from gcrnn_jax.training.parallel import configure_jax

    configure_jax(flags.batch_size)
    ensemble = load_model(
        flags.model,
        *flags.fuse,
        batch_size=flags.batch_size,
        with_attention="plot" in wanted,
    ).with_thresholds(
        tag_threshold=flags.tag_threshold, event_threshold=flags.event_threshold
    )
    recordings = [str(path) for path in flags.recordings]
    predict_recordings(ensemble, recordings, flags.output, wanted, strict=flags.strict)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "gcrnn_jax.predict",
        __doc__,
        f"{EXAMPLES}\n{formats.__doc__}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    of_models: dict[str, Any] = {"type": user_path, "metavar": "MODEL"}
    what = "a run's folder, an averaged or exported model, or a checkpoint"
    add("model", help=what, **of_models)
    what = "a recording or a folder"
    add("recordings", nargs="+", type=user_path, metavar="RECORDING", help=what)
    add("--output", type=user_path, required=True, metavar="FOLDER", help="where to")
    what = "a further model, whose posteriors are averaged in; may be repeated"
    add(
        "--fuse",
        type=user_path,
        action="append",
        default=[],
        metavar="MODEL",
        help=what,
    )
    what = "see below; default: events,tags"
    add("--formats", default="events,tags", help=what)
    what = "also draw every recording, a PNG each"
    add("--plot", action="store_true", help=what)
    what = "refuse recordings that end early instead of marking them as incomplete"
    add("--strict", action="store_true", help=what)
    for name in ("tag", "event"):
        what = f"of all classes, instead of the model's own, for {name}s"
        add(f"--{name}_threshold", type=float, metavar="X", help=what)
    what = "windows to compute at once; default: 8"
    add("--batch_size", type=int, default=8, help=what)
    return parser


if __name__ == "__main__":
    run_command(main)
