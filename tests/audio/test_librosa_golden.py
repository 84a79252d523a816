"""Log-mels that librosa 0.11 computed once, so that no newer version moves them.

python -m tests.audio.test_librosa_golden   # computes them anew
"""

from pathlib import Path

import numpy as np
import pytest

from tests.defaults import front_end

FILE = Path(__file__).parents[1] / "goldens" / "log_mel_librosa.npz"
SIZES = {
    "sed": {},
    "laptop": {"window_length": 2048, "hop_length": 1328},
    "narrow": {"num_mels": 20, "max_hz": 4000.0, "hop_length": 320},
}


def waveform() -> np.ndarray:
    """Half a second: a tone that rises, one that beats, silence at the end."""
    t = np.arange(8000) / 16000
    sound = 0.3 * np.sin(2 * np.pi * (200 * t + 6000 * t**2))
    sound += 0.05 * np.sin(2 * np.pi * 1234.5 * t) * np.sin(2 * np.pi * 9 * t) ** 2
    return np.where(t < 0.4, sound, 0).astype(np.float32)


@pytest.mark.parametrize("name", SIZES)
def test_log_mels_are_those_of_librosa(name):
    ours = front_end(**SIZES[name]).log_mel(waveform())
    with np.load(FILE) as golden:
        np.testing.assert_allclose(ours, golden[name], rtol=0, atol=1e-5)


def compute() -> dict[str, np.ndarray]:
    import librosa

    arrays = {}
    for name, size in SIZES.items():
        fields = {"window_length": 1024, "hop_length": 664, "num_mels": 64, **size}
        length = fields["window_length"]
        magnitude = librosa.feature.melspectrogram(
            y=waveform().astype(np.float64),
            sr=16000,
            n_fft=length,
            hop_length=fields["hop_length"],
            window=np.hamming(length),
            center=False,
            power=1.0,
            n_mels=fields["num_mels"],
            fmin=0.0,
            fmax=fields.get("max_hz", 8000.0),
            dtype=np.float64,
        )
        scale = np.sqrt((np.hamming(length) ** 2).sum())  # of a density, as in scipy
        arrays[name] = np.log(magnitude.T / scale + 1e-8)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FILE, **{k: v.astype("f4") for k, v in compute().items()})
