"""Waveform -> log-mel or MFCC; by default exactly as in the paper's front end.

Every frame is computed in float64: a recording of 8 kHz leaves the upper half of
the mel bins 120 dB below the lower, where a float32 FFT holds rounding noise only.
"""

import functools

import numpy as np

from gcrnn_jax.audio.mel import mel_bands

# A periodic window is the symmetric one of a sample more, without its last.
WINDOWS = {
    "hamming": np.hamming,
    "periodic_hamming": lambda length: np.hamming(length + 1)[:-1],
    "periodic_hann": lambda length: np.hanning(length + 1)[:-1],
}

# As many frames as stay in a core's cache. Each block is written over the last one:
# memory that NumPy asks of the system anew may cost more than the transform.
_FRAMES_AT_ONCE = 64


def log_mel(
    waveform: np.ndarray,
    *,
    sample_rate_hz: int = 16000,
    window: str = "hamming",
    window_length: int = 1024,
    fft_length: int = 0,
    hop_length: int = 664,
    centered: bool = False,
    power: float = 1.0,
    num_mels: int = 64,
    min_hz: float = 0.0,
    max_hz: float = 8000.0,
    floor: float = 1e-8,
) -> np.ndarray:
    """Returns the natural log of the mel-weighted magnitude spectrum.

    Frames do not reach over the ends: T = (S - fft_length) // hop_length + 1, and 0
    for a waveform shorter than one frame. Centered frames do, by half an FFT, the
    waveform mirrored there: T = S // hop_length + 1, and 0 for an empty one.

    The magnitude is divided by sqrt(sum(window ** 2)) before its power is taken, the
    density scale of `scipy.signal.spectrogram` at fs=1; `floor` is added to the result,
    so that without the scale the floor would sit elsewhere.

    Args:
        waveform: [S], mono, in [-1, 1].
        sample_rate_hz: Of the waveform.
        window: Symmetric "hamming", or "periodic_hamming" or "periodic_hann".
        window_length: Samples of the window.
        fft_length: Samples of a frame, at least window_length; the window gets zeros
            on both sides. 0: window_length.
        hop_length: Samples between the starts of two frames.
        centered: Whether frame t has its middle, not its start, at t * hop_length.
        power: Exponent of the magnitude; 2 for the power spectrum.
        num_mels: Number of mel bins, F.
        min_hz: Lower edge of the lowest mel bin.
        max_hz: Upper edge of the highest mel bin.
        floor: Added before the log; digital silence becomes ln(floor).

    Returns:
        float32 [T, F].

    Raises:
        ValueError: The waveform is not one-dimensional.

    Example:
        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(160000) / 16000)
        >>> features = log_mel(tone)
        >>> features.shape, int(features[0].argmax())
        ((240, 64), 21)
        >>> print(f"{log_mel(np.zeros(1024)).max():.2f}")
        -18.42

    Source: Xu et al., ICASSP 2018; their code: prepare_data.py, `calculate_logmel`.
        Centering and the window's zeros: librosa.stft.
    Differs: Centered frames of an odd fft_length number S // hop_length + 1 too; those
        of librosa may be one fewer.
    """
    waveform = np.ascontiguousarray(waveform)
    if waveform.ndim != 1:
        raise ValueError(f"waveform must be mono [S], got {waveform.shape}")
    fft_length = fft_length or window_length
    if len(waveform) < (1 if centered else fft_length):
        return np.zeros((0, num_mels), np.float32)
    bands = mel_bands(
        sample_rate_hz=sample_rate_hz,
        fft_length=fft_length,
        num_mels=num_mels,
        min_hz=min_hz,
        max_hz=max_hz,
    )
    if centered:
        half = fft_length // 2
        waveform = np.pad(waveform, (half, fft_length - half), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(waveform, fft_length)
    frames = frames[::hop_length]  # [T, fft_length], still without a copy
    scaled_window = unit_window(window, window_length, fft_length)
    windowed = np.empty((_FRAMES_AT_ONCE, fft_length))
    spectrum = np.empty((_FRAMES_AT_ONCE, fft_length // 2 + 1), np.complex128)
    magnitude = np.empty(spectrum.shape)
    mel = np.empty((len(frames), num_mels))
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        n = len(block := frames[start : start + _FRAMES_AT_ONCE])
        np.multiply(block, scaled_window, out=windowed[:n])
        np.fft.rfft(windowed[:n], axis=1, out=spectrum[:n])
        np.abs(spectrum[:n], out=magnitude[:n])
        if power != 1:
            np.power(magnitude[:n], power, out=magnitude[:n])
        for mels, bins, weights in bands:
            np.matmul(magnitude[:n, bins], weights, out=mel[start : start + n, mels])
    return np.log(mel + floor).astype(np.float32)


def mfcc(
    log_mel: np.ndarray, *, num_coefficients: int = 40, delta_width: int = 9
) -> np.ndarray:
    """Returns cepstral coefficients with their first and second time derivatives.

    The coefficients are the orthonormal DCT-II over the mel bins; the derivatives are
    those of a line and of a parabola fitted to `delta_width` frames, at the two ends
    of the clip to the first and last such frames.

    Args:
        log_mel: [T, F].
        num_coefficients: How many coefficients to keep, from the lowest; <= F.
        delta_width: Frames per fit, odd and >= 3.

    Returns:
        float32 [T, 3 * num_coefficients]: coefficients, deltas, delta-deltas.

    Raises:
        ValueError: num_coefficients > F, or delta_width is even or below 3.

    Example:
        >>> mfcc(np.ones((240, 64))).shape
        (240, 120)

    Source: librosa.feature.mfcc and librosa.feature.delta (mode "interp").
    Differs: A clip of fewer frames than delta_width is fitted with its first and last
        frame repeated; librosa refuses it.
    """
    num_frames, num_bins = log_mel.shape
    if num_coefficients > num_bins:
        raise ValueError(f"{num_coefficients} coefficients of only {num_bins} mel bins")
    if delta_width < 3 or delta_width % 2 == 0:
        raise ValueError(f"delta_width must be odd and >= 3, got {delta_width}")
    if num_frames == 0:
        return np.zeros((0, 3 * num_coefficients), np.float32)
    # Slow to import, and log-mel needs neither.
    from scipy.fft import dct
    from scipy.signal import savgol_filter

    double = np.asarray(log_mel, np.float64)
    cepstrum = np.asarray(dct(double, type=2, axis=1, norm="ortho"))
    cepstrum = cepstrum[:, :num_coefficients]
    mode = "interp" if num_frames >= delta_width else "nearest"
    derivatives = [
        np.asarray(
            savgol_filter(cepstrum, delta_width, order, deriv=order, axis=0, mode=mode)
        )
        for order in (1, 2)
    ]
    return np.concatenate([cepstrum, *derivatives], axis=1).astype(np.float32)


@functools.lru_cache(maxsize=16)
def unit_window(window: str, window_length: int, fft_length: int) -> np.ndarray:
    """Returns a window over its root sum of squares, amid zeros: [fft_length]."""
    values = WINDOWS[window](window_length)
    values /= np.sqrt(np.sum(values**2))
    zeros = fft_length - window_length
    values = np.pad(values, (zeros // 2, zeros - zeros // 2))
    values.setflags(write=False)
    return values
