"""Log-mel spectrograms as small pictures."""

import struct
import zlib

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd

COLOUR_MAP = "magma"  # even to the eye, and to eyes that tell few colours apart
_TICKS_KHZ = (0.5, 1, 2, 4, 8, 16)
_SHOWN_PERCENTILES = (2, 99.8)


def levels(log_mel: np.ndarray) -> tuple[float, float]:
    """The values to draw darkest and brightest, so that one click does not rule."""
    low, high = np.percentile(log_mel, _SHOWN_PERCENTILES)
    return float(low), float(max(high, low + 1e-3))


def png_of(log_mel: np.ndarray) -> bytes:
    """A spectrogram as a PNG of 8-bit palette, a pixel a value, low frequencies below.

    Args:
        log_mel: [T, F].
    """
    import matplotlib

    low, high = levels(log_mel)
    steps = np.round(255 * np.clip((log_mel - low) / (high - low), 0, 1))
    pixels = steps.astype(np.uint8).T[::-1]
    colours = matplotlib.colormaps[COLOUR_MAP](np.arange(256), bytes=True)[:, :3]
    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # each begins with its filter: none
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def frequency_ticks(front_end: FrontEnd) -> list[tuple[float, float]]:
    """(kHz, place) of round frequencies; place is from 0, lowest, to 1, highest bin."""
    import librosa

    edges = librosa.mel_frequencies(
        n_mels=front_end.num_mels + 2, fmin=front_end.min_hz, fmax=front_end.max_hz
    )
    places = (np.arange(len(edges)) - 0.5) / front_end.num_mels
    return [
        (khz, float(place))
        for khz in _TICKS_KHZ
        if 0 <= (place := np.interp(1000 * khz, edges, places, -1, 2)) <= 1
    ]
