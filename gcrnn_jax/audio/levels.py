"""The levels of a recording, and what they say of how it was written."""

import math

import numpy as np

FULL_SCALE = 0.9999  # of the largest sample; 16 bits end at 0.99997
LARGEST_PEAK = 8.0  # 18 dB over full scale; floats may be over it, and lossy formats
CANCELLED_SHARE = 0.01  # of the channels' power in their mean: correlation below -0.98
SILENT_POWER = 1e-8  # -80 dB of full scale
_SCALES = (2**7, 2**15, 2**23, 2**31)  # of integers of 8 to 32 bits


class Levels:
    """Levels of samples in [-1, 1] that are added block by block.

    Attributes:
        num_samples: Of one channel.
        num_clipped: Samples of all channels at full scale or above.
        peak: The largest magnitude in any channel.
        lowest: Of the mean of the channels.
        highest: Of the mean of the channels.
        is_cropped: Whether the recording goes on behind what was added.
    """

    def __init__(self) -> None:
        self.num_samples = self.num_clipped = self._num_channels = 0
        self.peak, self.lowest, self.highest = 0.0, math.inf, -math.inf
        self.is_cropped = False
        self._power = self._mono_power = 0.0

    def add(self, block: np.ndarray) -> np.ndarray:
        """Adds float32 [samples, channels]; returns their mean, float32 [samples]."""
        mono = block.mean(axis=1, dtype=np.float64)
        peak = max(float(block.max()), -float(block.min()))
        self.num_samples += len(block)
        self._num_channels = block.shape[1]
        if peak >= FULL_SCALE:
            self.num_clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        self.peak = max(self.peak, peak)
        self.lowest = min(self.lowest, float(mono.min()))
        self.highest = max(self.highest, float(mono.max()))
        if block.shape[1] > 1:
            self._power += float(np.mean(np.square(block, dtype=np.float64), 1).sum())
            self._mono_power += float(mono @ mono)
        return mono.astype(np.float32)

    def remarks(self) -> list[tuple[str, str]]:
        """Returns what is odd, LEVEL or CANCELLED, and in which way."""
        found = []
        if self.peak > LARGEST_PEAK:
            detail = f"samples up to {self.peak:.0f} where full scale is 1"
            scale = next((one for one in _SCALES if self.peak <= one), None)
            hint = "" if scale is None else f": divide by {scale}?"
            found.append(("LEVEL", detail + hint))
        is_loud = self._power > SILENT_POWER * self.num_samples
        if is_loud and self._mono_power < CANCELLED_SHARE * self._power:
            share = math.sqrt(self._mono_power / self._power)
            detail = f"the mean of {self._num_channels} channels keeps {share:.1%} of"
            found.append(("CANCELLED", f"{detail} their level: one is inverted?"))
        return found
