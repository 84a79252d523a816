r"""Prediction of long recordings, end to end: how fast, and in how much memory.

    python -m benchmarks.prediction

A full-size detector, hardly trained, hears built-in soundscapes of 2 minutes and of 2
hours, both FLAC in stereo at 44.1 kHz, each in a process of its own that starts anew.
"""

import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks.commands import ONE_STEP, run_process
from benchmarks.timing import alternate, keep
from gcrnn_jax.audio.soundscapes import soundscape
from gcrnn_jax.fields import command_parser
from gcrnn_jax.metrics.tables import text_table

MINUTES = (2, 120)
ROUNDS = 3


def main() -> None:
    """The command line."""
    command_parser("benchmarks.prediction", __doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    model = folder / "model"
    run_process(["-m", "gcrnn_jax.main", *ONE_STEP, f"--workdir={model}"])
    recordings = {minutes: folder / f"{minutes}.flac" for minutes in MINUTES}
    for minutes, path in recordings.items():
        _record(path, minutes)

    def predict(minutes: int) -> tuple[float, float]:
        output = folder / "found"
        shutil.rmtree(output, ignore_errors=True)
        line = ["-m", "gcrnn_jax.predict", str(model), str(recordings[minutes])]
        return run_process([*line, f"--output={output}"])

    predict(MINUTES[0])  # compiles
    sides = {str(m): lambda m=m: predict(m) for m in MINUTES}
    rows = []
    for minutes, rounds in alternate(sides, ROUNDS).items():
        seconds, memory = zip(*rounds, strict=True)
        speed = 60 * int(minutes) / statistics.median(seconds)
        spread = f"{min(seconds):.1f} - {max(seconds):.1f}"
        kilobytes = f"{min(memory):.0f} - {max(memory):.0f}"
        rows.append([f"{minutes} min", spread, f"{speed:.0f}", kilobytes])
    header = ["recording", "seconds", "times real time", "peak memory, MB"]
    print(text_table(header, rows))
    keep("prediction of long recordings", {"header": header, "rows": rows})


def _record(path: Path, minutes: int) -> None:
    """Writes a minute of soundscapes again and again."""
    minute = np.concatenate([soundscape(0, index).waveform for index in range(6)])
    minute = np.asarray(soxr.resample(minute, 16000, 44100), np.float32)
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for _ in range(minutes):
            file.write(np.stack([minute, minute], axis=1))


if __name__ == "__main__":
    main()
