"""Which samples a stretch of a recording is, before and after resampling."""

import math

MARGIN_S = 0.1  # read beyond the stretch, so that the resampler sees no edge there


def first_sample(start_s: float, rate_hz: int, sample_rate_hz: int) -> tuple[int, int]:
    """Where to read from, so that the resampler sees what is before the start.

    Returns:
        The first sample to read, at a multiple of both rates' periods; and how many
        samples of the new rate come before the start.
    """
    step = rate_hz // math.gcd(rate_hz, sample_rate_hz)
    before = max(0, math.floor((start_s - MARGIN_S) * rate_hz))
    first = before // step * step
    return first, round(start_s * sample_rate_hz) - first * sample_rate_hz // rate_hz


def num_samples_of(start_s: float, length_s: float, sample_rate_hz: int) -> int:
    """How many samples a stretch has; stretches side by side have no gap or overlap."""
    if not start_s:
        return math.ceil(length_s * sample_rate_hz)
    end = round((start_s + length_s) * sample_rate_hz)
    return end - round(start_s * sample_rate_hz)
