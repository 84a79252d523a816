"""The page's own scores, in a browser, are those of Python at the same thresholds."""

import dataclasses
import json

import numpy as np
import pytest

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.scoring import decide, score
from gcrnn_jax.metrics.tables import json_ready, percent
from gcrnn_jax.report import page, thresholds

CLASSES = ("Car", "Bus", "Train", "Air horn")


def random_split(random, num_clips, num_frames, hop_s):
    """Labels and events at random; one clip has none, some overlap or are long."""
    events, weak_label = {}, np.zeros((num_clips, len(CLASSES)), bool)
    for n in range(1, num_clips):
        rows = []
        for k in random.choice(len(CLASSES), random.integers(1, 4)):
            onset = random.uniform(0, num_frames * hop_s)
            rows.append((onset, onset + random.uniform(0.05, 4), CLASSES[k]))
            weak_label[n, k] = True
        events[f"clip{n}"] = tuple(rows)
    return Split(
        "testing",
        clip_ids=[f"clip{n}" for n in range(num_clips)],
        num_frames=np.full(num_clips, num_frames, np.int32),
        weak_label=weak_label,
        events=events,
        shards=(),
        frame_shape=(num_frames, 4),
        class_names=CLASSES,
        content_hash="0",
        data_content_hash="0",
    )


def random_posteriors(random, split, hop_s, postprocessing, on_grid=False):
    """Smooth in time, so that there are runs and gaps; on the grid: many ties."""
    num_clips, num_frames = len(split), split.frame_shape[0]
    steps = random.standard_normal((num_clips, num_frames, len(CLASSES)))
    smooth = np.cumsum(steps, axis=1) * 0.7
    frame = 1 / (1 + np.exp(smooth.mean(1, keepdims=True) - smooth))
    clip = random.random((num_clips, len(CLASSES))) ** 2
    if on_grid:
        frame, clip = np.round(frame, 2), np.round(clip, 2)
    kinds = (clip.astype(np.float32), frame.astype(np.float32))
    return PosteriorSet(split.clip_ids, CLASSES, hop_s, *kinds, postprocessing)


RULES = {
    "plain": {},
    "hysteresis": {"hysteresis": 0.5},
    "all to 0": {"hysteresis": 0.0, "at_least_one_tag": False},
    "median": {"median_s": 0.9, "gated": False},
    "neither": {"gap_s": 0.0, "min_event_s": 0.0, "at_least_one_tag": False},
    "everything": {"hysteresis": 0.7, "median_s": 0.5, "gap_s": 0.9},
}


def postprocessing_of(rules):
    fields = {
        "tag_threshold": (0.3, 0.55, 0.123456789, 0.07),
        "event_threshold": (0.3, 0.5, 0.7, 1 / 3),
        "gap_s": 0.4,
        "min_event_s": 0.45,
        "gated": True,
        "at_least_one_tag": True,
    }
    return Postprocessing(**(fields | rules))


@pytest.fixture(scope="module")
def bare_page(browser, tmp_path_factory):
    """The page's scripts that compute, without the page."""
    script = page._file("scores.js") + page._file("draw.js") + page._file("sliders.js")
    path = tmp_path_factory.mktemp("bare") / "bare.html"
    path.write_text(f"<meta charset=utf-8><script>{script}</script>")
    browser.open(path)
    return browser


def shown_by(browser, posteriors, split, postprocessing, settings):
    """The page's scores with tags and events at (tag, event) thresholds, or its own."""
    content = {
        "tagging": thresholds.tag_content(posteriors, split, postprocessing),
        "detection": thresholds.event_content(posteriors, split, postprocessing),
        "settings": settings,
    }
    return browser.evaluate(
        f"""(() => {{
          const content = {json.dumps(json_ready(content))};
          for (const part of [content.tagging, content.detection])
            for (const field of ["ranks", "tagRanks", "labels", "reference"])
              if (field in part) part[field] = bytesOf(part[field]);
          return content.settings.map((chosen) => {{
            const settings = startSettings(content);
            if (chosen) {{
              setThreshold(content.tagging, settings.tag, ALL, chosen[0]);
              setThreshold(content.detection, settings.event, ALL, chosen[1]);
            }}
            const at = scoresAt(content, settings);
            return [at.tags.f1, at.tags.precision, at.tags.recall, at.tags.macroF1,
              at.events.f1, at.events.precision, at.events.recall, at.events.macroF1,
              at.events.errorRate, at.events.substitutions, at.events.deletions,
              at.events.insertions,
              ...at.tags.perClass.map((of) => of.f1),
              ...at.events.perClass.flatMap((of) => [of.precision, of.errorRate]),
            ].map((value) => Number.isNaN(value) ? null : value);
          }});
        }})()"""
    )


def computed(posteriors, split, postprocessing):
    """The same by Python."""
    scores = score(decide(posteriors, postprocessing), posteriors, split)
    tags, events = scores.tagging, scores.detection
    values = [tags.micro.f1, tags.micro.precision, tags.micro.recall, tags.macro_f1]
    values += [events.micro.f1, events.micro.precision, events.micro.recall]
    values += [events.macro_f1, events.error_rate, events.substitution_rate]
    values += [events.deletion_rate, events.insertion_rate]
    values += [of.rates.f1 for of in tags.per_class.values()]
    for of in events.per_class.values():
        values += [of.rates.precision, of.error_rate]
    return json_ready(values)


@pytest.mark.parametrize("on_grid", [False, True])
@pytest.mark.parametrize("rules", RULES)
def test_the_page_scores_as_python_does(bare_page, rules, on_grid):
    random = np.random.default_rng(len(rules))
    # 30 frames of 0.1 s are 3.0000000000000004 s, which is no fourth second
    hop_s, num_frames = (0.0415, 240) if rules == "plain" else (0.1, 100)
    postprocessing = postprocessing_of(RULES[rules])
    split = random_split(random, 12, num_frames, hop_s)
    posteriors = random_posteriors(random, split, hop_s, postprocessing, on_grid)
    settings = [(0.01, 0.3), (0.3, 0.3), (0.5, 0.01), (0.99, 0.5), (0.07, 0.99)]
    shown = shown_by(bare_page, posteriors, split, postprocessing, [None, *settings])
    expected = [computed(posteriors, split, postprocessing)]
    for tag, event in settings:
        at = dataclasses.replace(
            postprocessing, tag_threshold=tag, event_threshold=event
        )
        expected.append(computed(posteriors, split, at))
    for number, (row, of_python) in enumerate(zip(shown, expected, strict=True)):
        assert [value is None for value in row] == [v is None for v in of_python]
        (
            np.testing.assert_allclose(
                np.array(row, float), np.array(of_python, float), rtol=1e-12
            ),
            number,
        )
    assert len({tuple(row) for row in shown}) > 3  # thresholds matter


def test_numbers_are_printed_as_python_prints_them(bare_page):
    ties = [n / 800 for n in range(801)]  # 100 * n / 800 is halfway for odd n
    values = [*ties, *np.random.default_rng(0).random(200).tolist(), 0.285, 1.005]
    shown = bare_page.evaluate(f"{json.dumps(values)}.map((value) => percent(value))")
    assert shown == [percent(value) for value in values]
    thirds = [n / 16 for n in range(100)]
    shown = bare_page.evaluate(f"{json.dumps(thirds)}.map((value) => fixed(value, 3))")
    assert shown == [f"{value:.3f}" for value in thirds]


def test_too_many_clips_are_a_fixed_random_part(monkeypatch):
    assert thresholds.shared_clips(7, 100).tolist() == list(range(7))
    monkeypatch.setattr(thresholds, "MAX_BYTES", 1000)
    some = thresholds.shared_clips(100, 100)
    assert len(some) == 10 and (np.diff(some) > 0).all() and some[-1] < 100
    assert some.tolist() == thresholds.shared_clips(100, 100).tolist()
    assert some.max() > 20  # not the first: lists are sorted by class
