"""A split whose clips are weak, strong and unlabelled, in a store and after it."""

import dataclasses
import json

import numpy as np
import pytest

from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.loader import gather
from gcrnn_jax.data.preparation import summary
from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.events import frame_roll
from gcrnn_jax.detection.frame_labels import FrameLabels
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.decisions import reference_events, reference_times
from gcrnn_jax.runs.labelled import LabelledPosteriors
from tests import defaults
from tests.stores import LabelledSource, content

CLASSES = ClassList(("/m/1", "/m/2", "/m/3"), ("Car", "Bus", "Train"))
FRONT_END = defaults.front_end(clip_s=1.0)
EVENTS = [(0.1, 0.35, "Car"), (0.3, 0.9, "Train")]
# of each clip, its labels and its events; None: not known
MIXED = [
    ((0, 2), EVENTS),
    ((1,), None),
    (None, None),
    ((), []),
    ((), None),
    (None, None),
]
KINDS = [STRONG, WEAK, UNLABELLED, STRONG, WEAK, UNLABELLED]


def build(path, labels, has_events=True, **more):
    sources = {"training": LabelledSource(labels, has_events), **more}
    return build_store(path, sources, FRONT_END, CLASSES, clips_per_shard=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FeatureStore:
    validation = LabelledSource(MIXED, True)
    path = tmp_path_factory.mktemp("mixed")
    build(path, MIXED, validation=validation, testing=LabelledSource(MIXED[:1], True))
    return FeatureStore.open(path)


def test_a_split_says_of_every_clip_what_is_known_of_it(store):
    split = store.splits["training"]
    np.testing.assert_array_equal(split.known, KINDS)
    assert split.events == {"clip0": tuple(EVENTS), "clip3": ()}
    expected = [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(split.weak_label, expected)
    assert "training: 6 clips, 0.00 h, 2 strong, 2 weak, 2 unlabelled" in summary(store)


def test_the_scaler_counts_unlabelled_clips(store):
    split = store.splits["training"]
    rows = split.rows(np.arange(6)).astype(np.float64)
    real = np.concatenate([row[:n] for row, n in zip(rows, split.num_frames)])  # noqa: B905
    np.testing.assert_allclose(store.mean, real.mean(0), rtol=1e-5)


def test_a_part_keeps_what_is_known_of_its_clips(store):
    part = store.splits["training"].part("some", np.array([5, 3, 1]))
    np.testing.assert_array_equal(part.known, [UNLABELLED, STRONG, WEAK])
    assert part.events == {"clip3": ()}
    store = FeatureStore.open(store.path)
    store.hold_out(0.5, seed=1)
    for name in ("training", "held_out"):
        split = store.splits[name]
        known = [KINDS[int(clip_id.removeprefix("clip"))] for clip_id in split.clip_ids]
        np.testing.assert_array_equal(split.known, known)


def test_a_mixed_split_is_scored_on_the_clips_of_which_most_is_known(store):
    split = store.find_split("validation")
    assert split.clip_ids == ("clip0", "clip3") and split.known is None
    assert split.name == "validation" and split.events == dict(
        clip0=tuple(EVENTS), clip3=()
    )
    np.testing.assert_array_equal(split.rows([1]), store.splits["training"].rows([3]))
    assert store.find_split("validation") is split
    assert store.find_fit_split(split) is None
    assert store.find_fit_split(store.find_split("testing")) is split
    weak = store.splits["training"].part("weak", np.array([1, 2])).scored()
    assert weak.clip_ids == ("clip1",) and weak.events is None and weak.known is None
    assert [len(one) for one in store.scored_splits()] == [2, 2, 1]


def test_it_is_said_of_which_clips_of_a_split_scores_are(store):
    """Posteriors do not matter here."""
    weak = store.splits["training"].part("training", np.array([1, 2])).scored()
    said = {
        LabelledPosteriors(None, split, store).clips  # pyright: ignore
        for split in (store.find_split("validation"), store.find_split("testing"), weak)
    }
    assert said == {
        "validation: 2 of its 6 clips, those with strong labels",
        "testing: 1 clips",
        "training: 1 of its 6 clips, those with weak labels",
    }


def test_what_cannot_be_scored_is_refused(store):
    unlabelled = store.splits["training"].part("new", np.array([2, 5]))
    with pytest.raises(DataError, match="split new: no clip has labels to score it by"):
        unlabelled.scored()
    for reference in (reference_events, reference_times):
        with pytest.raises(DataError, match="training are of several kinds"):
            reference(store.splits["training"])


@pytest.mark.parametrize(
    ("labels", "has_events", "expected"),
    [
        ([((0,), None), ((), None)], False, set()),
        ([((0,), EVENTS[:1]), ((), [])], True, {"events.json"}),
        ([((0,), EVENTS[:1]), ((), None)], True, {"events.json", "known.npy"}),
        ([((0,), None), (None, None)], False, {"known.npy"}),
        ([(None, None), (None, None)], False, {"known.npy"}),
    ],
)
def test_only_a_mixed_split_has_a_file_more(tmp_path, labels, has_events, expected):
    """And where it is no longer one, the file goes."""
    build(tmp_path, MIXED)
    split = build(tmp_path, labels, has_events).splits["training"]
    files = {name.split("/")[1] for name in content(tmp_path) if "training/" in name}
    assert {"events.json", "known.npy"} & files == expected
    assert (split.known is None) == ("known.npy" not in expected)
    assert (split.events is None) == ("events.json" not in expected)
    entry = json.loads((tmp_path / "card.json").read_text())["splits"]["training"]
    assert ("clips_per_kind" in entry) == ("known.npy" in expected)
    reopened = FeatureStore.open(tmp_path).splits["training"]
    np.testing.assert_array_equal(reopened.kinds, split.kinds)


def test_labels_at_the_rate_of_frames_are_the_rolls_of_strong_clips(store):
    split, hop_s = store.splits["training"], FRONT_END.hop_s
    num_frames = FRONT_END.num_frames
    label = FrameLabels(
        split.clip_ids, split.events, num_frames, hop_s, split.class_names
    )
    clips = np.array([3, 0, 2, 0])
    roll = frame_roll(EVENTS, num_frames, hop_s, split.class_names)
    assert roll.any(0).tolist() == [True, False, True]
    none = np.zeros_like(roll)
    np.testing.assert_array_equal(label[clips], [none, roll, none, roll])
    split = dataclasses.replace(split, strong_label=label)
    batch = gather(split, clips)
    np.testing.assert_array_equal(batch["strong_label"], label[clips])
    np.testing.assert_array_equal(batch["known"], [STRONG, STRONG, UNLABELLED, STRONG])
    assert batch["known"].dtype == np.int8
    assert batch["strong_label"].dtype == np.float32
