"""One recording and what a system makes of it, as a figure: Fig. 2 of the paper."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.report.charts import COLOUR_MAP, levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MIN_LINES = 6  # classes with a line of their own, if there are so many
_COLOURS = ("#0a6b74", "#c2571a", "#6a51a3", "#3f7f2f", "#a02c5a", "#5d6670")


def draw(
    features: np.ndarray,
    class_names: Sequence[str],
    frame_posteriors: np.ndarray,
    hop_s: float,
    detected: Sequence[Event],
    *,
    reference: Sequence[Event] | None = None,
    thresholds: float | Sequence[float] | None = None,
    attention: np.ndarray | None = None,
    feature_hop_s: float | None = None,
    title: str = "",
) -> "Figure":
    """Draws spectrogram, frame posteriors, attention and events in the same time.

    Lines are drawn for all classes that are detected or in the reference, and for the
    most probable others, at least six in all.

    Args:
        features: Log-mel, [T', F].
        class_names: K names.
        frame_posteriors: [T, K] in [0, 1].
        hop_s: Seconds a frame of the posteriors.
        detected: What the system finds.
        reference: What is there; None: not known.
        thresholds: Of events, one number or one a class; None: not drawn.
        attention: [T, K], >= 0; None: not drawn.
        feature_hop_s: Seconds a frame of the features; None: `hop_s`.
        title: Above the figure, which belongs to no screen.
    """
    from matplotlib.figure import Figure

    seconds = len(features) * (feature_hop_s or hop_s)
    events = [*detected, *(reference or ())]
    classes = classes_to_draw(class_names, frame_posteriors, events)
    lanes = 0.28 * max(1, len(classes)) * (2 if reference is not None else 1)
    heights = [1.7, 1.5, *([0.8] if attention is not None else []), 0.5 + lanes]
    figure = Figure(figsize=(8, sum(heights) + 1.2), dpi=150, layout="constrained")
    panels = figure.subplots(
        len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}
    )
    low, high = levels(features)
    extent = (0.0, seconds, 0.0, float(features.shape[1]))
    colours: Any = {"cmap": COLOUR_MAP, "vmin": low, "vmax": high}
    colours |= {"origin": "lower", "aspect": "auto", "extent": extent}
    panels[0].imshow(features.T, **colours)
    panels[0].set_ylabel("mel bin")
    panels[0].set_title(_plain(title, 90), loc="left", fontsize=10)
    _draw_lines(panels[1], frame_posteriors, hop_s, classes, seconds)
    panels[1].set_ylabel("posterior")
    if thresholds is not None:
        limits = np.broadcast_to(np.asarray(thresholds, float), len(class_names))
        for place, k in enumerate(classes):
            panels[1].axhline(limits[k], color=_colour(place), lw=0.8, ls=":")
    if attention is not None:
        share = attention / np.maximum(attention.max(0, keepdims=True), 1e-30)
        _draw_lines(panels[2], share, hop_s, classes, seconds)
        panels[2].set_ylabel("attention")
    _draw_events(panels[-1], [class_names[k] for k in classes], detected, reference)
    panels[-1].set_xlabel("time in s")
    panels[-1].set_xlim(0, seconds)
    return figure


def picture_png(figure: "Figure") -> bytes:
    """A figure as the content of a PNG file."""
    import io
    import warnings

    file = io.BytesIO()
    with warnings.catch_warnings():  # its fonts lack some letters, which are boxes then
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(file, format="png")
    return file.getvalue()


def classes_to_draw(
    class_names: Sequence[str], frame_posteriors: np.ndarray, events: Sequence[Event]
) -> list[int]:
    """The classes to draw: all with events, and up to six the most probable.

    Example:
        >>> posteriors = np.array([[0.1, 0.9, 0.2], [0.0, 0.1, 0.7]])
        >>> classes_to_draw(["Car", "Bus", "Train"], posteriors, [Event(0, 1, "Car")])
        [0, 1, 2]
    """
    named = {event.event_label for event in events}
    greatest = frame_posteriors.max(0, initial=0.0)
    is_rest = [name not in named for name in class_names]
    order = sorted(range(len(class_names)), key=lambda k: (is_rest[k], -greatest[k]))
    num_named = len(is_rest) - sum(is_rest)
    return sorted(order[: max(_MIN_LINES, num_named)])


def _draw_lines(panel: "Axes", values, hop_s: float, classes, seconds: float) -> None:
    """Steps, since frame t covers [t, t + 1) * hop_s."""
    edges = np.minimum(np.arange(len(values) + 1) * hop_s, seconds)
    for place, k in enumerate(classes):
        panel.stairs(values[:, k], edges, color=_colour(place), baseline=None, lw=1.2)
    panel.set_ylim(0, 1.02)


def _draw_events(panel: "Axes", names, detected, reference) -> None:
    """A lane a class: the reference, hollow, above what was detected."""
    lanes = [(detected, 0.08, True)]
    if reference is not None:
        lanes.append((reference, 0.5, False))
    height = 0.8 / len(lanes) - 0.02
    for place, name in enumerate(names):
        colour, bottom = _colour(place), len(names) - 1 - place
        for events, above, is_full in lanes:
            spans = [(on, off - on) for on, off, label in events if label == name]
            face = colour if is_full else "none"
            where = (bottom + above, height)
            panel.broken_barh(spans, where, facecolors=face, edgecolors=colour)
    panel.set_ylim(0, max(1, len(names)))
    places = np.arange(len(names)) + 0.5
    panel.set_yticks(places, [_plain(name, 40) for name in reversed(names)], fontsize=8)
    title = "detected" if reference is None else "reference (hollow), detected"
    panel.set_title(title, loc="left", fontsize=9)


def _colour(place: int) -> str:
    """Of a class; with more classes than colours, several share one."""
    return _COLOURS[place % len(_COLOURS)]


def _plain(name: str, most: int) -> str:
    """Text without bytes that are none, mathematics, or the middle of a long one."""
    text = name.encode(errors="replace").decode()
    if len(text) > most:
        half = (most - 5) // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return text.replace("$", r"\$")  # between two, matplotlib finds mathematics
