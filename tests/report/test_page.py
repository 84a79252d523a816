"""The page in a browser: quiet, offline, of any width, and only text for names."""

import copy
import dataclasses
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from gcrnn_jax.metrics.bootstrap import Estimate, Interval
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.metrics.tables import percent
from gcrnn_jax.report import page
from gcrnn_jax.report.charts import step_path
from gcrnn_jax.report.clip_cards import clip_cards
from gcrnn_jax.report.report_data import ReportData
from tests.report.pages import (
    EVIL,
    FRONT_END,
    NUM_CLIPS,
    count,
    figures,
    make_data,
    show_all,
)


def test_it_loads_quietly_and_asks_no_network(browser, file, data):
    browser.open(file)
    assert count(browser, ".card:not([hidden])") == 6 < len(data.selection.clips)
    show_all(browser)
    assert count(browser, ".card:not([hidden])") == len(data.selection.clips)
    assert count(browser, ".panel[data-kind]") == len(data.selection.examples)
    assert browser.complaints == []
    asked = [url for url in browser.requests if not url.startswith("data:")]
    assert asked == [file.as_uri()]


def test_its_policy_lets_nothing_else_be_loaded_or_run(browser, file):
    browser.open(file)
    browser.evaluate(
        """(() => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = true";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "https://example.org/x.png";
          document.body.append(image);
        })()"""
    )
    browser.wait_for("true")
    assert browser.evaluate("window.hacked") is None
    refused = " ".join(browser.complaints)
    assert "script-src" in refused and "img-src" in refused


def test_names_stay_text(browser, file):
    browser.open(file)
    show_all(browser)
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.scripts.length") == 2
    assert browser.evaluate("document.querySelectorAll('[onclick]').length") == 0
    assert browser.evaluate("document.querySelector('h1').textContent") == EVIL[1]
    assert browser.evaluate("document.title") == EVIL[1]
    shown = browser.evaluate("document.body.innerText")
    text = " ".join(shown.split())
    for name in EVIL:
        assert " ".join(name.split()) in text
    listed = browser.evaluate("[...byId('which-class').options].map((o) => o.text)")
    assert [" ".join(n.split()) for n in EVIL] == [
        " ".join(n.split()) for n in listed[1:]
    ]


def test_no_name_is_in_the_data_or_can_end_the_page(file):
    text = file.read_text()
    data = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert not set(data) & set("<>&\u2028\u2029")
    assert list(json.loads(data)["values"]) == ["tag", "event"]
    assert not any(json.dumps(name)[1:-1] in data for name in EVIL)
    for name in EVIL[:2]:
        assert name not in text and html.escape(name) in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_it_fits_and_follows_the_scheme(browser, file, width, scheme):
    browser.open(file, width=width, scheme=scheme)
    show_all(browser)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colour = "getComputedStyle(document.body).backgroundColor"
    brightness = int(re.findall(r"\d+", browser.evaluate(colour))[0])
    assert (brightness < 128) == (scheme == "dark")
    browser.evaluate("byId('theme').click()")
    brightness = int(re.findall(r"\d+", browser.evaluate(colour))[0])
    assert (brightness < 128) == (scheme == "light")


def test_far_intervals_end_at_the_edge_of_those_of_systems(data):
    """The answer that is the same for all clips does not squeeze the others."""
    mine, constant = data.rows
    value, (low, high) = mine.estimates["f1"]
    far = {**constant.estimates, "f1": Estimate(value, Interval(-1.0, 2.0))}
    rows = [mine, dataclasses.replace(constant, estimates=far)]
    estimates = [mine.estimates, far]
    (_, _, axis, _), *_ = page._interval_charts(data, estimates)
    assert axis.low == pytest.approx(low - 0.08 * (high - low))
    assert axis.high == pytest.approx(high + 0.08 * (high - low))
    text = page.render_page(dataclasses.replace(data, rows=rows))
    bars = re.findall(r'"bar" x1="([^"]+)%" x2="([^"]+)%"', text)
    assert [float(end) for end in bars[1]] == [0, 100]


def test_what_is_drawn_is_in_the_time_of_the_recording(file):
    """Clips are 9.96 s of frames and 10 s of sound, but for the one without."""
    text = file.read_text()
    at = '<rect class="reference" x="{}%" y="0" width="{}%"'  # 1.5 s to 4 s
    assert text.count(at.format(15.0, 25.0)) == NUM_CLIPS - 1
    assert text.count(at.format(15.06, 25.1)) == 1
    assert 'width="99.6%" height="100%" preserveAspectRatio' in text
    frames = [float(n) for n in re.findall(r'viewBox="0 0 ([\d.]+) 100" pre', text)]
    assert {n for n in frames if n != 100} == {10 / FRONT_END.hop_s, 240.0}
    heights = re.search(r'line accent" d="M0,(\d+)H24V(\d+)H48V', text)
    assert heights  # posteriors that change every 24 frames


def test_lines_are_of_the_clip_and_attention_is_a_share_of_its_greatest(data):
    posteriors = data.main_row.posteriors
    weights = np.random.default_rng(5).random(data.attention.shape) * 0.01
    cards = clip_cards(dataclasses.replace(data, attention=weights))
    assert len(cards) == len(data.selection.clips)
    for card in cards:
        clip = data.split.clip_ids.index(card.clip_id)
        for panel in card.panels:
            k = panel.class_index
            here = weights[data.selection.clips.tolist().index(clip), :, k]
            assert panel.attention == step_path(here / here.max())
            assert panel.posterior == step_path(posteriors.frame[clip, :, k])
            assert panel.name == data.split.class_names[k]
            assert f"posterior {posteriors.clip[clip, k]:.3f}" in panel.note
            is_tagged = bool(data.main_row.decisions.tags[clip, k])
            assert ("tagged" in panel.note) == is_tagged
            onsets = [at for at, _ in panel.events["reference"]]
            assert bool(onsets) == data.split.weak_label[clip, k]


def test_events_end_with_the_recording(data):
    events = {clip: ((8.0, 12.0, EVIL[0]),) for clip in data.split.clip_ids}
    split = copy.copy(data.split)
    split.events = events
    spans = [
        panel.events["reference"]
        for card in clip_cards(dataclasses.replace(data, split=split))
        for panel in card.panels
        if panel.class_index == 0 and card.seconds == 10
    ]
    assert spans and all(span == [(80.0, 20.0)] for span in spans)


def test_a_clip_without_a_recording_has_a_picture_alone(browser, file):
    browser.open(file)
    show_all(browser)
    cards = browser.evaluate(
        """[...document.querySelectorAll('.card:has(.why)')].map((card) => [
          card.querySelector('audio') === null,
          card.querySelector('.why').textContent,
          card.querySelector('image') !== null])"""
    )
    assert cards
    for is_silent, why, has_picture in cards:
        assert is_silent and why.startswith("No recording: MISSING") and has_picture


def test_a_split_without_strong_labels_has_tags_only(browser, tmp_path):
    weak = make_data(tmp_path, ("Car", "Bus", "Train", "Siren"))
    weak.split.events = None
    row = Evaluator(weak.split, None).with_own_thresholds(
        "weak", weak.main_row.posteriors
    )
    fields = {**vars(weak), "rows": [row], "main_row": row, "curves": None}
    fields |= {"attention": None, "attention_note": "none"}
    page.write_page(tmp_path / "page.html", ReportData(**fields))
    browser.open(tmp_path / "page.html")
    show_all(browser)
    assert browser.complaints == []
    assert not browser.evaluate("byId('event-threshold')")
    assert browser.evaluate("byId('training')") is None
    assert count(browser, "rect.reference") == count(browser, ".area") == 0
    assert figures(browser)[0] == percent(row.scores.tagging.micro.f1)


def test_the_room_needs_no_jax():
    code = "import sys, gcrnn_jax.report; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
