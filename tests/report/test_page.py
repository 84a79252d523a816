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

from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.store import Shard, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.evaluation.labelled import OF_TABLES, SplitFigures
from gcrnn_jax.evaluation.results import Choice
from gcrnn_jax.metrics.bootstrap import Estimate, Interval
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.metrics.tables import percent
from gcrnn_jax.report import page
from gcrnn_jax.report.charts import step_path
from gcrnn_jax.report.clip_cards import clip_cards
from gcrnn_jax.report.examples import select_examples
from gcrnn_jax.report.report_data import ReportData
from tests import defaults

EVIL = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(2)//",
    "' onclick='alert(3)' \" onclick=\"alert(4)\" & &lt;b&gt; \u2028",
    "{{ 7 * 7 }}${alert(5)}",
)
RULES = Postprocessing(
    tag_threshold=0.5,
    event_threshold=0.4,
    gap_s=0.4,
    min_event_s=0.45,
    require_clip_tag=True,
    at_least_one_tag=True,
    hysteresis=1.0,
    median_s=0.0,
    box_filter_s=0.0,
    box_merge=0.5,
)
FRONT_END = defaults.front_end()
NUM_CLIPS = 9


def make_split(folder, names):
    random = np.random.default_rng(3)
    shape = (FRONT_END.num_frames, FRONT_END.num_bins)
    np.save(folder / "shard.npy", random.normal(-6, 2, (NUM_CLIPS, *shape)).astype("e"))
    weak_label = np.arange(NUM_CLIPS)[:, None] % len(names) == np.arange(len(names))
    clip_ids = [f"{names[n % len(names)]}{n}" for n in range(NUM_CLIPS)]
    events = {
        clip: ((1.5, 4.0, names[n % len(names)]),) for n, clip in enumerate(clip_ids)
    }
    return Split(
        "testing",
        clip_ids=clip_ids,
        num_frames=np.full(NUM_CLIPS, FRONT_END.num_frames, np.int32),
        weak_label=weak_label,
        events=events,
        shards=[Shard(folder / "shard.npy", NUM_CLIPS)],
        frame_shape=shape,
        class_names=names,
        content_hash="0",
        data_content_hash="0",
    )


def tone(clip_id):
    """Ten seconds; the first clip of all has no recording."""
    if clip_id.endswith("0"):
        raise Rejected("MISSING", f"no {clip_id} here")
    return 0.1 * np.sin(np.arange(160000) * 0.2).astype(np.float32)


def make_data(folder, names):
    split = make_split(folder, names)
    random = np.random.default_rng(4)
    frame = random.random((NUM_CLIPS, FRONT_END.num_frames, len(names)))
    frame = np.repeat(frame[:, ::24], 24, axis=1).astype(np.float32)
    clip = random.random((NUM_CLIPS, len(names))).astype(np.float32)
    posteriors = PosteriorSet(
        split.clip_ids, tuple(names), FRONT_END.hop_s, clip, frame, RULES
    )
    evaluator = Evaluator(split, None)
    figures = SplitFigures(split, num_draws=100)
    rows = [
        figures.add(evaluator.with_own_thresholds(names[0], posteriors)),
        figures.add(evaluator.best_constant(posteriors), Choice(OF_TABLES)),
    ]
    selection = select_examples(rows[0], split)
    kept = {"epoch": 1, "tag_f1": 0.5, "mean_average_precision": 0.4}
    return ReportData(
        title=names[1],
        note=names[2],
        split=split,
        rows=rows,
        main_row=rows[0],
        selection=selection,
        front_end=FRONT_END,
        read_clip=tone,
        attention=frame[selection.clips],
        attention_note="",
        curves={"loss": [[0.5, 0.7]], "scores": [kept], "split": "testing"},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"), EVIL)


@pytest.fixture(scope="module")
def file(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write_page(path, data)
    return path


def show_all(browser):
    """Shows the cards of all clips."""
    for _ in range(5):
        browser.evaluate("byId('more').hidden || byId('more').click()")
    assert browser.evaluate("byId('more').hidden")


def count(browser, selector):
    return browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")


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


def figures(browser):
    """All figures at the sliders."""
    cells = "[...document.querySelectorAll('[data-score]')]"
    return browser.evaluate(f"{cells}.map((cell) => cell.firstChild.textContent)")


def move(browser, kind, value):
    browser.evaluate(
        f"""(() => {{
          const slider = byId("{kind}-threshold");
          slider.value = tables.values["{kind}"].indexOf({value});
          slider.dispatchEvent(new Event("input"));
        }})()"""
    )


def test_sliders_show_what_python_computes(browser, file, data):
    browser.open(file)
    posteriors, split = data.main_row.posteriors, data.split

    def expect(k=None, **changed):
        rules = Postprocessing(**{**vars(RULES), **changed})
        scores = score(decide(posteriors, rules), posteriors, split)
        tags, events = scores.tagging, scores.detection
        found = figures(browser)
        if k is None:
            assert found[:4] == [*rates(tags.micro), percent(tags.macro_f1)]
            assert found[4:7] == rates(events.micro)
            assert found[7] == f"{events.error_rate:.3f}"
            assert found[11] == f"{events.insertion_rate:.3f}"
        else:
            name = split.class_names[k]
            assert found[:3] == rates(tags.per_class[name].rates)
            assert found[3:6] == rates(events.per_class[name].rates)
            assert found[6] == f"{events.per_class[name].error_rate:.3f}"
        return tuple(found)

    start = expect()
    move(browser, "tag", 0.8)
    moved = expect(tag_threshold=0.8)
    move(browser, "event", 0.22)
    both = expect(tag_threshold=0.8, event_threshold=0.22)
    assert len({start, moved, both}) == 3
    browser.evaluate("document.querySelectorAll('.curve')[2].click()")
    alone = expect(2)
    move(browser, "tag", 0.05)
    assert alone != expect(2, tag_threshold=(0.5, 0.5, 0.05, 0.5))
    precision, recall = figures(browser)[1:3]
    dot = "document.querySelectorAll('.curve')[2].querySelector('circle')"
    for axis, share in (("cx", float(recall)), ("cy", 100 - float(precision))):
        place = browser.evaluate(f"parseFloat({dot}.getAttribute('{axis}'))")
        assert place == pytest.approx(share, abs=0.06)
    read = browser.evaluate("document.querySelectorAll('.rates')[2].textContent")
    assert read.startswith(f"at 0.05: precision {float(precision):.1f}")
    read = browser.evaluate("document.querySelectorAll('.rates')[1].textContent")
    assert read.startswith("at 0.5:")
    browser.evaluate("byId('reset').click()")
    assert expect() == start


def rates(values):
    return [percent(v) for v in (values.f1, values.precision, values.recall)]


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


def test_filters_leave_the_clips_with_such_an_example(browser, file, data):
    browser.open(file)
    example = next(e for e in data.selection.examples if e.kind == "miss")
    browser.evaluate(
        f"""(() => {{
          byId("which-kind").selectedIndex = 2;
          byId("which-example").selectedIndex = {1 + example.class_index};
          byId("which-kind").dispatchEvent(new Event("change"));
        }})()"""
    )
    pair = (example.kind, example.class_index)
    fitting = {e.clip for e in data.selection.examples if e[::2] == pair}
    names = browser.evaluate(
        "[...document.querySelectorAll('.card:not([hidden]) h3')]"
        ".map((title) => title.textContent)"
    )
    assert sorted(names) == sorted(data.split.clip_ids[n] for n in fitting)


def test_the_cursor_follows_the_recording_and_moves_it(browser, file):
    browser.open(file, width=1000, height=1000)
    show_all(browser)
    browser.evaluate("window.card = document.querySelector('.card:has(audio)')")
    browser.evaluate("window.audio = card.querySelector('audio')")
    browser.wait_for("audio.readyState > 0")
    assert browser.evaluate("audio.duration") == pytest.approx(10, abs=0.1)
    browser.evaluate("card.scrollIntoView({behavior: 'instant'})")
    left, y, width = browser.evaluate(
        """(() => {
          const box = card.querySelector(".panels").getBoundingClientRect();
          return [box.left, box.top + 60, box.width];
        })()"""
    )
    browser.click(left + 0.5 * width, y)
    assert abs(browser.evaluate("audio.currentTime") - 5) < 0.05
    cursor = "card.querySelector('.cursor').getBoundingClientRect().left"
    browser.wait_for(f"Math.abs({cursor} - {left + 0.5 * width}) < 2")
    browser.click(left + width - 1, y)  # to the end, of which a little is kept
    assert browser.evaluate("audio.currentTime") == pytest.approx(9.9)
    browser.evaluate("audio.currentTime = 0")
    browser.evaluate("audio.play()")
    browser.wait_for(f"{cursor} > {left + 0.02 * width}")
    others = "[...document.querySelectorAll('audio')].filter((a) => a !== audio)"
    browser.evaluate(f"{others}[0].play()")
    browser.wait_for("audio.paused")
    assert not browser.evaluate("audio.ended")
    assert browser.complaints == []


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
