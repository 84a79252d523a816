"""Mel filters: triangles of unit area on Slaney's scale.

The scale is linear up to 1 kHz and logarithmic above, 27 steps for each factor of 6.4.
"""

import functools
import warnings
from typing import Any

import numpy as np

_MELS_PER_BAND = 8


@functools.lru_cache(maxsize=16)
def mel_filter_bank(
    *,
    sample_rate_hz: int,
    fft_length: int,
    num_mels: int,
    min_hz: float,
    max_hz: float,
) -> np.ndarray:
    """Returns triangular mel filters of unit area, on Slaney's mel scale.

    Returns:
        float64 [fft_length // 2 + 1, num_mels], not writable.
    """
    import librosa.filters  # takes 0.3 s, which only what computes features should pay

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty filters: FrontEnd refuses them
        bank = librosa.filters.mel(
            sr=sample_rate_hz,
            n_fft=fft_length,
            n_mels=num_mels,
            fmin=min_hz,
            fmax=max_hz,
            dtype=np.float64,
        ).T.copy()
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
