"""Log-mel beside librosa, and the soundscape generator, on one core.

python -m benchmarks.features
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

import librosa
import numpy as np

from benchmarks.timing import ROUNDS, alternate, report
from configs import sed
from gcrnn_jax.audio.front_end import make_front_end
from gcrnn_jax.audio.soundscapes import soundscape

CLIPS = 200


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    log_mel = make_front_end(sed.get_config().to_dict()["front_end"]).log_mel
    waveforms = 0.1 * rng.standard_normal((8, 160000)).astype(np.float32)
    difference = np.abs(log_mel(waveforms[0]) - librosa_log_mel(waveforms[0])).max()
    print(f"largest difference to librosa: {difference:.1e}")
    sides = {
        "gcrnn_jax": lambda: _rate(lambda n: log_mel(waveforms[n % 8])),
        "librosa": lambda: _rate(lambda n: librosa_log_mel(waveforms[n % 8])),
    }
    report("log-mel, one core", alternate(sides, ROUNDS), "clips/s")
    sides = {"soundscapes": lambda: _rate(lambda n: soundscape(0, n))}
    report("soundscapes, one core", alternate(sides, ROUNDS), "clips/s")
    if not difference <= 1e-5:
        sys.exit(f"log-mel differs from librosa's by {difference}")


def librosa_log_mel(waveform: np.ndarray) -> np.ndarray:
    """The paper's log-mel, as a user of librosa would write it."""
    window = np.hamming(1024)
    magnitude = np.abs(
        librosa.stft(waveform, n_fft=1024, hop_length=664, window=window, center=False)
    ) / np.sqrt(np.sum(window**2))
    mel = librosa.feature.melspectrogram(
        S=magnitude, sr=16000, n_mels=64, fmin=0, fmax=8000
    )
    return np.log(mel + 1e-8).T


def _rate(function: Callable[[int], object]) -> float:
    start = time.perf_counter()
    for number in range(CLIPS):
        function(number)
    return CLIPS / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
