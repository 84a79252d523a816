"""What errors have in common, on clips whose parts are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import diagnosis, error_groups
from benchmarks.error_groups import FoldErrors, Recipe
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError

NAMES = ("Car", "Rain")
RULES = Postprocessing(0.5, 0.5, 0.0, 0.0, True, False, 1.0, 0.0, 0.0, 0.5)
CAR = ("Car", "r/car_a.ogg", 1.0)
RAIN = ("Rain", "r/rain.ogg", -2.0)
PARTS = [  # of the clips: events, distractors, posteriors of Car and Rain
    ((CAR, ("Car", "r/car_b.ogg", 4.0)), (), (0.9, 0.1)),
    ((CAR, RAIN), ("r/bang.ogg",), (0.4, 0.6)),
    ((RAIN,), ("r/bang.ogg", "r/zebra.ogg"), (0.8, 0.7)),
    ((RAIN,), (), (0.2, 0.3)),
    ((), (), (0.1, 0.8)),
]


class Labels(SimpleNamespace):
    name, content_hash, known = "validation", "a hash", None

    def __len__(self):
        return len(self.clip_ids)


@pytest.fixture
def errors():
    """Of a fold of five clips of 3 s, each event from 1 to 3 s, found from 0 to 2 s."""
    recipes = tuple(Recipe("r/hum.ogg", d, events) for events, d, _ in PARTS)
    label = np.array([[n in {e[0] for e in r.events} for n in NAMES] for r in recipes])
    clip_ids = tuple(f"clip{n}" for n in range(len(PARTS)))
    events = {
        clip: tuple((1.0, 3.0, NAMES[k]) for k in np.flatnonzero(row))
        for clip, row in zip(clip_ids, label, strict=True)
    }
    split = Labels(
        clip_ids=clip_ids, class_names=NAMES, weak_label=label, events=events
    )
    clip = np.array([posterior for *_, posterior in PARTS], np.float32)
    frame = np.repeat(clip[:, None], 3, axis=1)
    posteriors = PosteriorSet(clip_ids, NAMES, 1.0, clip, frame, RULES)
    segments = np.repeat(label[:, None], 3, axis=1)
    segments[:, 0] = False
    found = np.repeat(clip[:, None] > 0.5, 3, axis=1)
    found[:, 2] = False
    both = np.stack([segments, found])
    return FoldErrors(split, posteriors, recipes, clip > 0.5, both)


def test_pairs_are_the_labelled_classes_with_what_the_clip_holds(errors):
    first, car, rain, *rest = error_groups.pairs_of([errors])
    assert (first.label, first.snr_db, first.active_s, first.num_others) == (
        "Car",
        4,
        2,
        0,
    )
    assert first.recordings == ("r/car_a.ogg", "r/car_b.ogg")
    assert (car.is_found, car.num_distractors, car.num_others) == (False, 1, 1)
    assert car.segments == (0, 2) and first.segments == (1, 2)
    assert (rain.label, rain.snr_db, rain.posterior) == ("Rain", -2, pytest.approx(0.6))
    assert [pair.label for pair in rest] == ["Rain", "Rain"]


def test_recall_is_that_of_the_pairs_of_a_group(errors):
    pairs = error_groups.pairs_of([errors, errors])
    by_label = error_groups.recalls(pairs, lambda p: p.label)
    assert by_label["Car"] == pytest.approx(
        {"pairs": 4, "recall": 0.5, "segment_recall": 1 / 4, "posterior": 0.65}
    )
    some = error_groups.recalls(pairs, lambda p: p.num_others or None)
    assert list(some) == [1] and some[1]["pairs"] == 4


def test_alike_values_of_groups_are_told_from_chance():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), rng.integers(1, 5, 400))
    values = 2.0 * rng.standard_normal(400)[groups] + rng.standard_normal(len(groups))
    assert error_groups.intraclass_correlation(values, groups) == pytest.approx(
        0.8, abs=0.05
    )
    alone = rng.standard_normal(len(groups))
    assert abs(error_groups.intraclass_correlation(alone, groups)) < 0.1
    assert np.isnan(error_groups.intraclass_correlation(alone[:3], "abc"))
    # by hand: means 1 and 4, squares between 2 x 2 x 1.5^2 = 9, within (2 + 2) / 2 = 2
    by_hand = error_groups.intraclass_correlation(np.array([0, 2, 3, 5]), "aabb")
    assert by_hand == pytest.approx((9 - 2) / (9 + 2))


def test_the_share_of_recordings_is_of_what_the_level_leaves():
    rng = np.random.default_rng(1)
    recordings = np.repeat(np.arange(40), 5)
    snr = rng.uniform(-6, 12, 200)
    own = rng.standard_normal(40)[recordings]
    noise = 0.01 * rng.standard_normal(200)

    def share(odds):
        pairs = [
            SimpleNamespace(label="Car", recordings=(r,), fold=0, snr_db=s, posterior=p)
            for r, s, p in zip(recordings, snr, 1 / (1 + np.exp(-odds)), strict=True)
        ]
        two = SimpleNamespace(label="Car", recordings=(1, 2))  # which one is heard?
        return error_groups.recording_shares([*pairs, two])["Car"]

    assert share(0.5 * snr + own + noise) > 0.95
    assert abs(share(0.5 * snr + noise)) < 0.15


def test_false_tags_are_counted_against_the_clips_without(errors):
    """Of three clips without Car the first has bangs and a false tag, two have none."""
    heard = error_groups.false_tags([errors, errors], lambda r: {*r.distractors})
    assert heard[0] == ("Car", "r/bang.ogg", 2, 2, 0.0)
    assert heard[1] == ("Car", "r/zebra.ogg", 2, 2, 0.0)
    by_class = error_groups.false_tags([errors], lambda r: {e[0] for e in r.events})
    # of Rain: clip 1 of those with Car alone, clip 5 without, which is tagged
    assert by_class[-1] == ("Rain", "Car", 1, 0, 1.0)


def test_pairs_in_a_mask_take_the_posteriors_of_those_outside(errors):
    mask = np.zeros((5, 2), bool)
    mask[1:3] = True
    found = error_groups.as_if(errors, positives=mask, negatives=None).clip
    expected = errors.posteriors.clip.copy()
    expected[1, 0] = 0.9  # the one other clip with Car
    expected[1:3, 1] = 0.3  # and with Rain
    assert np.array_equal(found, expected)
    found = error_groups.as_if(errors, positives=None, negatives=mask).clip
    expected = errors.posteriors.clip.copy()
    expected[2, 0] = 0.2  # of 0.1 and 0.2 at the same rank
    assert np.array_equal(found, expected)


def test_clips_as_those_that_a_system_knows(errors):
    label = errors.label.copy()
    clip = np.where(label, 0.95, 0.05).astype(np.float32)
    known = PosteriorSet(
        errors.posteriors.clip_ids, NAMES, 1.0, clip, clip[:, None], RULES
    )
    heard = SimpleNamespace(weak_label=label)
    assert np.array_equal(error_groups.as_heard(errors, heard, known).clip, clip)


def test_scores_are_means_over_folds_of_the_classes_asked_for(errors):
    everything = error_groups.tag_scores([(errors.split, errors.posteriors)])
    # AP of Car: 1 of 1, then 2 of 3; of Rain: 0.7 and 0.6 behind 0.8, 0.3 the fourth
    of_car, of_rain = (1 + 2 / 3) / 2, (1 / 2 + 2 / 3 + 3 / 4) / 3
    assert everything["mAP"] == pytest.approx((of_car + of_rain) / 2)
    one = error_groups.tag_scores([(errors.split, errors.posteriors)] * 2, [0])
    assert one["mAP"] == pytest.approx(of_car)
    # the best for the same clips: both and a false one
    assert one["best"] == pytest.approx(0.8)


def test_a_recipe_names_what_a_clip_is_made_of(tmp_path):
    path = tmp_path / "recipe.json"
    entry = {"background": "hum", "distractors": [["bang", 1.5]], "events": [[*CAR]]}
    path.write_text(json.dumps({"Y-a_0_10": entry}))
    assert error_groups.read_recipes(path, ["-a_0_10"]) == [
        Recipe("hum", ("bang",), (CAR,))
    ]
    with pytest.raises(DataError, match="recipe.json: no entry for clip b"):
        error_groups.read_recipes(path, ["b"])
    path.write_text('{"Ya": {"background": "hum"}}')
    with pytest.raises(DataError, match="expected background, distractors and events"):
        error_groups.read_recipes(path, ["a"])


def test_the_page_has_every_table(errors):
    clip = np.where(errors.label, 0.95, 0.05).astype(np.float32)
    known = PosteriorSet(
        errors.posteriors.clip_ids, NAMES, 1.0, clip, clip[:, None], RULES
    )
    curve = {
        epoch: {"training": (0.3, 0.9), "validation": (0.5, 0.6)} for epoch in (1, 2)
    }
    errors.tags[:, 0] = True
    heard = diagnosis.Heard(errors.split, known, curve)
    text = "\n\n".join(diagnosis.sections([errors, errors], [heard, heard]))
    assert "| 2 | 0.300 | 0.500 | 90.0 | 60.0 | 60.0 60.0 |" in text
    assert "| Car | 2 | 100.0 | 83.3 | 40.0 | 100.0 |" in text
    assert "| SNR from -3 dB | 6 | 66.7 |" in text
    assert "| Car | bang | 2 | 2 | 2.0 |" in text
    assert "| new recordings as training clips | 100.0 |" in text
    assert "| 2 distractors | 2 |" in text and "| 2 | 2 | 1.00 | 0.00 |" in text


def test_each_cause_is_of_the_pairs_that_it_names(errors):
    masks = [of(errors) for of in diagnosis.changes(NAMES).values()]
    level, length, distractors, others, steady = masks
    on_label = level["positives"] & errors.label
    assert on_label.tolist() == [[0, 0], [1, 1], [0, 1], [0, 1], [0, 0]]
    assert not (length["positives"] & errors.label).any()  # all last for 2 s
    assert distractors["positives"].all(1).tolist() == [0, 1, 1, 0, 0]
    assert np.array_equal(distractors["positives"], distractors["negatives"])
    assert others["positives"].all(1).tolist() == [0, 1, 0, 0, 0]
    assert not others["positives"][[0, 2, 3, 4]].any()
    # one of them is steady: nobody's false tags are another's
    assert not (steady["negatives"] & ~errors.label).any()
    assert level["negatives"] is others["negatives"] is steady["positives"] is None


def test_the_curve_is_of_cross_entropy_and_mean_precision(errors):
    entropy, precision = diagnosis.curve_point(errors.split, errors.posteriors)
    given = [0.9, 0.9, 0.4, 0.6, 0.2, 0.7, 0.8, 0.3, 0.9, 0.2]
    assert entropy == pytest.approx(-np.log(given).mean(), rel=1e-5)
    assert precision == pytest.approx(
        error_groups.tag_scores([(errors.split, errors.posteriors)])["mAP"]
    )


def test_a_row_that_is_not_there_is_named(tmp_path):
    (tmp_path / "folds/1").mkdir(parents=True)
    line = [f"--folds={tmp_path / 'folds'}", f"--output={tmp_path}", "--row=best"]
    with pytest.raises(ConfigError, match="--row: best is not finished on every fold"):
        diagnosis.main(line)
    with pytest.raises(ConfigError, match="--folds: .*nowhere is no folder"):
        diagnosis.main([f"--folds={tmp_path / 'nowhere'}", *line[1:]])
