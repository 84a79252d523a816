"""What charts are drawn from: axes with round numbers, paths, spectrograms as PNG.

Places along an axis are in percent of its length, so that a browser stretches charts
to any width without a script.
"""

import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.spectrum import mel_frequencies

COLOUR_MAP = "magma"  # perceptually uniform, also with colour blindness
_TICKS_KHZ = (0.5, 1, 2, 4, 8, 16)
_SHOWN_PERCENTILES = (2, 99.8)


@dataclass(frozen=True)
class Axis:
    """A range of values along an axis, with about `num_ticks` round numbers at it."""

    low: float
    high: float
    num_ticks: int = 5
    scale: float = 1  # of the numbers: 100 writes shares in percent

    def place(self, value: float) -> float:
        """Where a value is, in percent from the low end."""
        return round(100 * (value - self.low) / (self.high - self.low or 1), 2)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """(text, place) of round numbers."""
        from matplotlib.ticker import MaxNLocator

        locator = MaxNLocator(self.num_ticks, steps=[1, 2, 5, 10])
        values = np.round(locator.tick_values(self.low, self.high), 10) + 0.0
        ticks = [(f"{self.scale * v:g}", self.place(v)) for v in values.tolist()]
        return [(text, place) for text, place in ticks if 0 <= place <= 100]


COLOURS = ("accent", "ink", "quiet")  # CSS classes of the lines of a chart


@dataclass(frozen=True)
class LineChart:
    """Lines by name, points [x, y] each, over one pair of axes."""

    label: str
    x_name: str
    y_name: str
    x: Axis
    y: Axis
    lines: Mapping[str, Sequence[Sequence[float | None]]]

    @property
    def paths(self) -> list[tuple[str, str, str]]:
        """(name, CSS class, path in a square of 100) of each line."""
        pairs = zip(self.lines.items(), COLOURS, strict=False)
        return [(name, kind, self._path(points)) for (name, points), kind in pairs]

    def _path(self, points: Iterable[Sequence[float | None]]) -> str:
        path, pen = "", "M"
        for x, y in points:
            if x is None or y is None or math.isnan(y):
                pen = "M"  # a gap in the line
            else:
                path += f"{pen}{self.x.place(x):g},{100 - self.y.place(y):g}"
                pen = "L"
        return path


def step_path(values: np.ndarray) -> str:
    """Values [T] in [0, 1] as steps one unit wide, 100 units for 1; "" without any.

    Example:
        >>> step_path(np.array([0.5, 0.5, 1.0]))
        'M0,50H2V0H3'
    """
    heights = (100 - np.round(100 * np.clip(values, 0, 1))).astype(int).tolist()
    if not heights:
        return ""
    pairs = enumerate(itertools.pairwise(heights), start=1)
    steps = "".join(f"H{t}V{new}" for t, (old, new) in pairs if new != old)
    return f"M0,{heights[0]}{steps}H{len(heights)}"


def levels(log_mel: np.ndarray) -> tuple[float, float]:
    """The values to draw darkest and brightest, which a single click does not set."""
    low, high = np.percentile(log_mel, _SHOWN_PERCENTILES)
    return float(low), float(max(high, low + 1e-3))


def spectrogram_png(log_mel: np.ndarray) -> bytes:
    """[T, F] as a PNG of 8-bit palette, a pixel a value, low frequencies below."""
    import matplotlib
    from PIL import Image  # matplotlib brings it

    low, high = levels(log_mel)
    steps = np.round(255 * np.clip((log_mel - low) / (high - low), 0, 1))
    image = Image.fromarray(np.ascontiguousarray(steps.astype(np.uint8).T[::-1]))
    colours = matplotlib.colormaps[COLOUR_MAP](np.arange(256), bytes=True)[:, :3]
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def frequency_ticks(front_end: FrontEnd) -> list[tuple[str, float]]:
    """(kHz, place) of round frequencies; place is in percent from the lowest bin."""
    count, low_hz, high_hz = front_end.num_mels, front_end.min_hz, front_end.max_hz
    edges = mel_frequencies(count + 2, low_hz, high_hz)
    places = (np.arange(len(edges)) - 0.5) / front_end.num_mels
    return [
        (f"{khz:g}", round(100 * float(place), 2))
        for khz in _TICKS_KHZ
        if 0 <= (place := np.interp(1000 * khz, edges, places, -1, 2)) <= 1
    ]


def value_range(values: Iterable[float], margin: float) -> tuple[float, float]:
    """The range of finite values, wider at both ends by a share of it."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    return low - margin * (high - low or 1), high + margin * (high - low or 1)
