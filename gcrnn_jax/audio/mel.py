"""Mel filters: triangles of unit area on Slaney's scale.

The scale is linear up to 1 kHz and logarithmic above, 27 steps for each factor of 6.4.
"""

import functools
import math
from typing import Any

import numpy as np

_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27

_MELS_PER_BAND = 8


@functools.lru_cache(maxsize=16)
def mel_filter_bank(
    *,
    sample_rate_hz: int,
    window_length: int,
    num_mels: int,
    min_hz: float,
    max_hz: float,
) -> np.ndarray:
    """Returns triangular mel filters of unit area, on Slaney's mel scale.

    Returns:
        float64 [window_length // 2 + 1, num_mels], not writable.

    Source: librosa.filters.mel (htk=False, norm="slaney"), which takes 0.5 s to import.
    """
    edges = _mel_to_hz(
        np.linspace(_hz_to_mel(min_hz), _hz_to_mel(max_hz), num_mels + 2)
    )
    bins_hz = np.fft.rfftfreq(window_length, 1.0 / sample_rate_hz)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    bank = triangles * (2.0 / (right - left))
    bank.setflags(write=False)
    return bank


@functools.lru_cache(maxsize=16)
def mel_bands(**of_bank: Any) -> list[tuple[slice, slice, np.ndarray]]:
    """Returns the filter bank as products of a few mel bins each, without its zeros.

    A seventh of the work; and each product is too small for BLAS to share among
    threads, which takes 10 times as long where the cores are busy with other things.
    """
    bank = mel_filter_bank(**of_bank)
    bands = []
    for start in range(0, bank.shape[1], _MELS_PER_BAND):
        mels = slice(start, start + _MELS_PER_BAND)
        used = np.flatnonzero(bank[:, mels].any(axis=1))
        bins = slice(int(used.min()), int(used.max()) + 1) if used.size else slice(0, 0)
        bands.append((mels, bins, np.ascontiguousarray(bank[bins, mels])))
    return bands


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return _BREAK_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    curved = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, curved)
