"""What sliders show is what the rules and the scores give at the same thresholds."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.metrics.tables import percent
from gcrnn_jax.metrics.tagging import precision_recall, tagging_scores
from gcrnn_jax.report import threshold_tables
from gcrnn_jax.report.systems import write_results
from gcrnn_jax.report.threshold_tables import ranking

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
    "median": {"median_s": 0.9, "require_clip_tag": False},
    "neither": {"gap_s": 0.0, "min_event_s": 0.0, "at_least_one_tag": False},
    "everything": {"hysteresis": 0.7, "median_s": 0.5, "gap_s": 0.9},
}


def postprocessing_of(rules):
    fields = {
        "tag_threshold": (0.3, 0.55, 0.123456789, 0.07),
        "event_threshold": (0.3, 0.5, 0.7, 1 / 3),
        "gap_s": 0.4,
        "min_event_s": 0.45,
        "require_clip_tag": True,
        "at_least_one_tag": True,
        "hysteresis": 1.0,
        "median_s": 0.0,
        "box_filter_s": 0.0,
        "box_merge": 0.5,
    }
    return Postprocessing(**(fields | rules))


def figures(scores, k=None):
    """The printed figures of all classes, or of class k."""
    tags, events = scores.tagging, scores.detection
    if k is None:
        tag = [*rates(tags.micro), percent(tags.macro_f1)]
        shares = [events.substitution_rate, events.deletion_rate, events.insertion_rate]
        event = [*rates(events.micro), fraction(events.error_rate)]
        event += [percent(events.macro_f1), *map(fraction, shares)]
        return tag, event
    event = events.per_class[CLASSES[k]]
    return (
        rates(tags.per_class[CLASSES[k]].rates),
        [*rates(event.rates), fraction(event.error_rate)],
    )


def rates(values):
    return [percent(v) for v in (values.f1, values.precision, values.recall)]


def fraction(value):
    return "-" if np.isnan(value) else f"{value:.3f}"


def printed(row, named):
    return [
        "-" if value is None else f"{value / 10**digits:.{digits}f}"
        for value, digits in zip(row, named.values(), strict=True)
    ]


def at(table, tag, event):
    return table[min(tag, len(table) - 1)][event]


@pytest.fixture(scope="module", params=RULES)
def scored(request):
    random = np.random.default_rng(len(request.param))
    # 30 frames of 0.1 s are 3.0000000000000004 s, which is no fourth second
    hop_s, num_frames = (0.0415, 240) if request.param == "plain" else (0.1, 100)
    rules = postprocessing_of(RULES[request.param])
    split = random_split(random, 12, num_frames, hop_s)
    on_grid = request.param in ("median", "neither")
    posteriors = random_posteriors(random, split, hop_s, rules, on_grid)
    return (
        posteriors,
        split,
        threshold_tables.threshold_tables(posteriors, split, rules),
    )


def replaced(rules, kind, value, k=None):
    """The rules with one threshold, of all classes or of class k."""
    name = f"{kind}_threshold"
    if k is not None:
        values = list(getattr(rules, name))
        values[k] = value
        value = tuple(values)
    return dataclasses.replace(rules, **{name: value})


POSITIONS = [(99, 48), (0, 14), (6, 48), (99, 2), (54, 30), (98, 47), (29, 0)]


@pytest.mark.parametrize("k", [None, 0, 3])
def test_every_position_is_scored_by_the_rules(scored, k):
    posteriors, split, tables = scored
    rules = posteriors.postprocessing
    tag_values, event_values = tables["values"]["tag"], tables["values"]["event"]
    different = set()
    for tag, event in [
        (99, 48),
        (0, 14),
        (6, 48),
        (99, 2),
        (54, 30),
        (98, 47),
        (29, 0),
    ]:
        moved = rules
        if tag < 99:
            moved = replaced(moved, "tag", tag_values[tag], k)
        if event < 48:
            moved = replaced(moved, "event", event_values[event], k)
        expected = figures(score(decide(posteriors, moved), posteriors, split), k)
        which = "all" if k is None else "one"
        of_tags, of_events = tables["tag"][which], tables["event"][which]
        if k is not None:
            of_tags, of_events = of_tags[k], of_events[k]
        names = tables["figures"][which]
        assert printed(of_tags[tag], names["tag"]) == expected[0]
        assert printed(at(of_events, tag, event), names["event"]) == expected[1]
        different.add(str(expected))
    assert len(different) > 3  # thresholds matter


def test_points_lie_on_the_curves_of_precision_over_recall(scored):
    posteriors, split, tables = scored
    rules = posteriors.postprocessing
    ranked = ranking(posteriors.clip, rules)
    if not rules.at_least_one_tag:
        np.testing.assert_array_equal(ranked, posteriors.clip)
    for k in range(len(CLASSES)):
        label, posterior = split.weak_label[:, k], ranked[:, k]
        curve = precision_recall(label, posterior, max_points=1000)
        points = tables["points"][k]
        assert len(points) == 100
        for precision, recall in points:
            assert np.isnan(precision) or [recall, precision] in curve
    tags = rules.tags(posteriors.clip)
    scores = tagging_scores(split.weak_label, tags, None, CLASSES)
    for k, name in enumerate(CLASSES):  # as the table of classes has them
        found, expected = tables["points"][k][-1], scores.per_class[name].rates[:2]
        np.testing.assert_array_equal(found, expected)


def test_sliders_begin_with_the_thresholds_of_each_class(scored):
    rules, tables = scored[0].postprocessing, scored[2]
    assert tables["start"]["tag"] == list(rules.tag_threshold)
    assert tables["start"]["event"] == list(rules.event_threshold)


@pytest.mark.parametrize(("num_classes", "step"), [(4, 1), (17, 1), (27, 2), (527, 5)])
def test_a_page_of_many_classes_has_fewer_positions(num_classes, step):
    assert threshold_tables.grid_step(num_classes) == step
    figures_of_events = num_classes * (99 // step) * (48 // step) * 4
    assert figures_of_events <= 500_000


def test_without_events_there_are_figures_of_tags_only(scored):
    posteriors, split, tables = scored
    weak = copy.copy(split)
    weak.events = None
    found = threshold_tables.threshold_tables(
        posteriors, weak, posteriors.postprocessing
    )
    assert list(found["values"]) == ["tag"] and "event" not in found
    assert found["tag"] == tables["tag"]


def test_too_many_clips_are_a_fixed_random_part():
    assert threshold_tables.sample_clips(7, 100).tolist() == list(range(7))
    some = threshold_tables.sample_clips(10_000, 240 * 17)
    assert len(some) == 1470 and (np.diff(some) > 0).all() and some[-1] < 10_000
    assert some.tolist() == threshold_tables.sample_clips(10_000, 240 * 17).tolist()
    assert some.max() > 9000  # not the first: lists are sorted by class
    assert len(threshold_tables.sample_clips(20_000, 240 * 527)) == 1000


def test_clips_are_scored_some_at_a_time_as_all_at_once(scored, monkeypatch):
    posteriors, split, tables = scored
    size = posteriors.frame[:5].nbytes
    monkeypatch.setattr(posterior_files, "BLOCK_BYTES", size)
    rules = posteriors.postprocessing
    assert threshold_tables.threshold_tables(posteriors, split, rules) == tables


def test_the_scores_of_all_rows_are_written_with_the_hash_of_the_data(tmp_path):
    random = np.random.default_rng(0)
    split = random_split(random, 6, 50, 0.02)
    posteriors = random_posteriors(random, split, 0.02, postprocessing_of({}))
    row = Evaluator(split, None, per_class=False).with_own_thresholds("a", posteriors)
    write_results(tmp_path / "new", [row], row, data_sha256="0a")
    content = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert content["data_sha256"] == "0a"
    assert [one["system"] for one in content["systems"]] == ["a"]
