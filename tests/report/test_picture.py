"""The picture of one recording shows the numbers it is given, and is a PNG."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.report.charts import (
    Axis,
    LineChart,
    frequency_ticks,
    spectrogram_png,
    step_path,
)
from gcrnn_jax.report.picture import classes_to_draw, draw, picture_png
from tests import defaults

NAMES = ("Car", "Bus $x$ <b>", "Train")


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return random.normal(-5, 2, (40, 64)), random.random((20, 3))


def test_all_panels_are_in_the_same_time(arrays):
    features, posteriors = arrays
    detected, reference = [Event(0.5, 1.0, "Car")], [Event(0.25, 1.25, "Train")]
    figure = draw(
        *(features, NAMES, posteriors, 0.2, detected),
        reference=reference,
        thresholds=(0.3, 0.4, 0.5),
        attention=posteriors,
        feature_hop_s=0.1,
    )
    assert len(figure.axes) == 4
    for panel in figure.axes:
        assert panel.get_xlim() == pytest.approx((0, 4))
    values, edges, _ = figure.axes[1].patches[2].get_data()
    np.testing.assert_array_equal(values, posteriors[:, 2])
    np.testing.assert_allclose(edges, np.arange(21) * 0.2)
    limits = sorted(line.get_ydata()[0] for line in figure.axes[1].lines)
    assert limits == [0.3, 0.4, 0.5]
    spans = [
        path.get_extents().intervalx.tolist()
        for bars in figure.axes[3].collections
        for path in bars.get_paths()
    ]
    assert sorted(spans) == [[0.25, 1.25], [0.5, 1.0]]


def test_without_reference_and_attention_there_are_three_panels(arrays, tmp_path):
    features, posteriors = arrays
    title = f"$a${'n' * 300}.wav"
    figure = draw(features, NAMES, posteriors, 0.2, [], feature_hop_s=0.1, title=title)
    assert len(figure.axes) == 3
    shown = figure.axes[0].get_title("left")
    assert shown.startswith(r"\$a\$nnn") and " ... " in shown and shown.endswith(".wav")
    assert len(shown) < 100  # there is room for no more
    with Image.open(io.BytesIO(picture_png(figure))) as image:
        assert image.format == "PNG" and image.width > 1000


def test_every_class_with_an_event_is_drawn():
    names, posteriors = [f"c{k}" for k in range(20)], np.zeros((3, 20))
    events = [Event(0, 1, f"c{k}") for k in range(0, 20, 2)]
    assert classes_to_draw(names, posteriors, events) == [*range(0, 20, 2)]
    figure = draw(np.zeros((3, 4)), names, posteriors, 1.0, events)
    assert len(figure.axes[-1].get_yticks()) == 10


def test_many_classes_leave_the_six_that_matter():
    posteriors = np.tile(np.linspace(0, 0.9, 40), (5, 1))
    names = [f"c{k}" for k in range(40)]
    shown = classes_to_draw(names, posteriors, [Event(0, 1, "c3")])
    assert shown == [3, 35, 36, 37, 38, 39]


def test_drawing_touches_no_pyplot():
    code = (
        "import sys, numpy as np; from gcrnn_jax.report.picture import draw;"
        "draw(np.zeros((9, 4)), ['a'], np.zeros((9, 1)), 0.1, []);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_spectrogram_is_a_png_with_low_frequencies_below():
    log_mel = np.zeros((30, 8))
    log_mel[:, 0] = 10.0  # the lowest bin
    log_mel[20:, 7] = 5.0
    with Image.open(io.BytesIO(spectrogram_png(log_mel))) as image:
        assert image.size == (30, 8) and image.mode == "P"
        places = np.asarray(image)
        colours = np.asarray(image.convert("RGB"))
    assert (places[-1] == 255).all() and (places[1:-1] == 0).all()
    assert (places[0, 20:] == 128).all() and (places[0, :20] == 0).all()
    assert colours[-1].sum() > colours[0].sum()  # bright is loud


def test_frequencies_stand_where_their_mel_bin_is():
    import librosa

    front_end = defaults.front_end()
    ticks = dict(frequency_ticks(front_end))
    assert {"0.5", "1", "2", "4", "8"} >= set(ticks) and "4" in ticks
    centres = librosa.mel_frequencies(n_mels=66, fmin=0, fmax=8000)[1:-1]
    for khz, place in ticks.items():
        nearest = np.abs(centres - 1000 * float(khz)).argmin()
        assert abs(place * 0.64 - (nearest + 0.5)) <= 0.51


def test_round_numbers_stand_at_their_places():
    assert Axis(0, 10).ticks == [(f"{n}", 10.0 * n) for n in range(0, 11, 2)]
    assert Axis(0.05, 0.25, 5, 100).ticks == [
        ("5", 0.0),
        ("10", 25.0),
        ("15", 50.0),
        ("20", 75.0),
        ("25", 100.0),
    ]
    assert Axis(1, 1).place(1) == 0  # one value is no range


def test_lines_break_where_there_is_no_value():
    points = [[0, 0], [1, 1], [2, None], [3, 0.5], [4, 1], [4, float("nan")]]
    chart = LineChart("", "", "", Axis(0, 4), Axis(0, 1), {"a": points, "b": []})
    assert chart.paths == [("a", "accent", "M0,100L25,0M75,50L100,0"), ("b", "ink", "")]


def test_steps_are_a_frame_wide_and_equal_ones_are_one():
    assert step_path(np.array([0, 0.255, 0.255, 1.7])) == "M0,100H1V74H3V0H4"
    assert step_path(np.zeros(0)) == ""
