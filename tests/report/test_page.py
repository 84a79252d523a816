"""The page in a browser: quiet, offline, of any width, and only text for names."""

import html
import json
import re

import numpy as np
import pytest

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.store import Shard, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.scoring import decide, score
from gcrnn_jax.metrics.tables import percent
from gcrnn_jax.report import page
from gcrnn_jax.report.examples import choose_cases
from gcrnn_jax.report.systems import Judge

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
    gated=True,
    at_least_one_tag=False,
)
FRONT_END = FrontEnd()
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


def make_subject(folder, names):
    split = make_split(folder, names)
    random = np.random.default_rng(4)
    frame = random.random((NUM_CLIPS, FRONT_END.num_frames, len(names)))
    frame = np.repeat(frame[:, ::24], 24, axis=1).astype(np.float32)
    clip = random.random((NUM_CLIPS, len(names))).astype(np.float32)
    posteriors = PosteriorSet(
        split.clip_ids, tuple(names), FRONT_END.hop_s, clip, frame, RULES
    )
    judge = Judge(split, None)
    rows = [judge.fixed(names[0], posteriors), judge.constant(posteriors)]
    shown = choose_cases(rows[0], split)
    kept = {"epoch": 1, "tag_f1": 0.5, "mean_average_precision": 0.4}
    return page.Subject(
        title=names[1],
        note=names[2],
        split=split,
        rows=rows,
        chosen=rows[0],
        shown=shown,
        front_end=FRONT_END,
        recordings=tone,
        attention=frame[shown.clips],
        attention_note="",
        curves={"loss": [[0.5, 0.7]], "scores": [kept], "split": "testing"},
    )


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    return make_subject(tmp_path_factory.mktemp("data"), EVIL)


@pytest.fixture(scope="module")
def file(subject, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write_page(path, subject)
    return path


def draw_all(browser):
    """Shows all cases, and waits until they are drawn."""
    browser.wait_for("document.querySelectorAll('.curve circle').length > 0")
    for _ in range(20):
        browser.evaluate("byId('more').hidden || byId('more').click()")
    assert browser.evaluate("byId('more').hidden")
    cards = browser.evaluate("byId('cases').childNodes.length")
    for n in range(cards):
        card = f"byId('cases').childNodes[{n}]"
        browser.evaluate(f"{card}.scrollIntoView({{behavior: 'instant'}})")
        browser.wait_for(f"{card}.querySelector('svg .cursor') !== null")
    return cards


def test_it_loads_quietly_and_asks_no_network(browser, file, subject):
    browser.open(file)
    assert draw_all(browser) == len(subject.shown.cases)
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
    draw_all(browser)
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


def test_no_name_can_end_the_data_or_the_page(file):
    text = file.read_text()
    data = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert not set(data) & set("<>&\u2028\u2029")
    assert json.loads(data)["classes"] == list(EVIL)
    for name in EVIL[:2]:
        assert name not in text and html.escape(name) in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_it_fits_and_follows_the_scheme(browser, file, width, scheme):
    browser.open(file, width=width, scheme=scheme)
    draw_all(browser)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colour = "getComputedStyle(document.body).backgroundColor"
    brightness = int(re.findall(r"\d+", browser.evaluate(colour))[0])
    assert (brightness < 128) == (scheme == "dark")
    browser.evaluate("byId('theme').click()")
    brightness = int(re.findall(r"\d+", browser.evaluate(colour))[0])
    assert (brightness < 128) == (scheme == "light")


def score_of(browser, part, name):
    return browser.evaluate(
        f"""[...document.querySelectorAll('#{part} [data-score="{name}"]')]
          .map((cell) => cell.firstChild.textContent)[0]"""
    )


def test_sliders_show_what_python_computes(browser, file, subject):
    browser.open(file)
    posteriors, split = subject.chosen.posteriors, subject.split

    def expect(**changed):
        rules = Postprocessing(**{**vars(RULES), **changed})
        scores = score(decide(posteriors, rules), posteriors, split)
        detection = scores.detection
        assert score_of(browser, "tag-scores", "tag F1") == percent(
            scores.tagging.micro.f1
        )
        assert score_of(browser, "event-scores", "1-s F1") == percent(
            detection.micro.f1
        )
        rate = f"{detection.error_rate:.3f}"
        assert score_of(browser, "event-scores", "error rate") == rate
        return scores.tagging.micro.f1, detection.micro.f1

    def move(kind, value):
        before = browser.evaluate("byId('tag-scores').innerText")
        browser.evaluate(
            f"""(() => {{
              const slider = byId("{kind}-threshold");
              const {{ tagging, detection }} = report.content;
              const part = "{kind}" === "tag" ? tagging : detection;
              const chosen = Number(byId("which-class").value);
              slider.value = valuesOf(part, chosen).indexOf({value});
              slider.dispatchEvent(new Event("input"));
            }})()"""
        )
        browser.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
        return before

    start = expect()
    move("tag", 0.8)
    moved = expect(tag_threshold=0.8)
    move("event", 0.21)
    assert len({start, moved, expect(tag_threshold=0.8, event_threshold=0.21)}) == 3
    browser.evaluate("document.querySelectorAll('.curve')[2].click()")
    move("tag", 0.05)
    expect(tag_threshold=(0.8, 0.8, 0.05, 0.8), event_threshold=0.21)
    browser.evaluate("byId('reset').click()")
    expect()


def test_the_player_plays_seeks_and_takes_keys(browser, file):
    browser.open(file, width=1000, height=1000)
    draw_all(browser)
    heard = (
        "[...document.querySelectorAll('.case')].find((c) => !c.querySelector('.why'))"
    )
    browser.evaluate(f"window.card = {heard}")
    browser.evaluate("card.scrollIntoView({behavior: 'instant'})")
    browser.evaluate("window.figure = card.querySelector('.figure')")
    x, y, width = browser.evaluate(
        """(() => {
          const box = figure.getBoundingClientRect();
          return [box.left, box.top + 60, box.width];
        })()"""
    )
    at = "Number(figure.getAttribute('aria-valuenow'))"
    middle = x + 42 + 0.5 * (width - 8 - 42)  # the time axis, between its margins
    browser.click(middle, y)
    assert abs(browser.evaluate(at) - 5) < 0.11
    cursor = "figure.querySelector('.cursor').getBoundingClientRect()"
    place = browser.evaluate(f"{cursor}.left + {cursor}.width / 2")
    assert abs(place - middle) < 2
    browser.evaluate("figure.focus()")
    browser.press("ArrowRight", 39)
    assert abs(browser.evaluate(at) - 5.5) < 0.11
    browser.press("Home", 36)
    assert browser.evaluate(at) == 0
    browser.press(" ", 32)
    browser.wait_for("playing !== null && playing.audio.currentTime > 0.2")
    browser.wait_for(f"{at} > 0.2")
    assert browser.evaluate("playing.audio.duration") == pytest.approx(10, abs=0.1)
    browser.press("End", 35)
    browser.wait_for(f"playing === null && {at} >= 9.85")
    browser.press(" ", 32)  # from the beginning again
    browser.wait_for(f"playing !== null && 0.1 < {at} && {at} < 9")
    assert browser.complaints == []


def test_a_clip_without_a_recording_stands_without_a_player(browser, file):
    browser.open(file)
    draw_all(browser)
    shown = browser.evaluate(
        """[...document.querySelectorAll('.case:has(.why)')].map((card) => [
          card.querySelector('.play').disabled,
          card.querySelector('.why').textContent,
          card.querySelector('image') !== null])"""
    )
    assert shown
    for is_disabled, why, has_picture in shown:
        assert is_disabled and why.startswith("No player: MISSING") and has_picture


def test_a_split_without_strong_labels_has_tags_only(browser, subject, tmp_path):
    weak = make_subject(tmp_path, ("Car", "Bus", "Train", "Siren"))
    weak.split.events = None
    judge = Judge(weak.split, None)
    row = judge.fixed("weak", weak.chosen.posteriors)
    fields = {**vars(weak), "rows": [row], "chosen": row, "curves": None}
    fields |= {"attention": None, "attention_note": "none"}
    page.write_page(tmp_path / "page.html", page.Subject(**fields))
    browser.open(tmp_path / "page.html")
    draw_all(browser)
    assert browser.complaints == []
    assert not browser.evaluate("byId('event-threshold')")
    assert browser.evaluate("byId('training')") is None
    assert score_of(browser, "tag-scores", "tag F1") == percent(
        row.scores.tagging.micro.f1
    )
