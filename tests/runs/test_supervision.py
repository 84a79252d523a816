"""What is learnt of clips of each kind, and what is said of them before training."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gcrnn_jax.config import Config
from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.label_index import count_clips
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK, Split
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.runs import Run, supervision, train_run
from gcrnn_jax.runs.training_clips import check_training_clips, describe_training_clips
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.loss import Loss
from tests import defaults
from tests.defaults import build
from tests.stores import LabelledSource, step_log

NAMES = ("Dog", "Rooster", "Train")


def split_of(weak_label, known=None, events=None):
    weak_label = np.asarray(weak_label, bool)
    count = len(weak_label)
    return Split(
        "training",
        clip_ids=tuple(f"clip{n}" for n in range(count)),
        num_frames=np.full(count, 5, np.int32),
        weak_label=weak_label,
        events=events,
        shards=(),
        frame_shape=(5, 4),
        class_names=NAMES,
        content_hash="",
        data_content_hash="",
        known=None if known is None else np.array(known, np.int8),
    )


def clips(*sizes):
    """Clips of one class each, and last so many of none."""
    return np.repeat(np.eye(4, dtype=bool)[:, :3], sizes, axis=0)


def mixed():
    events = {"clip0": ((0.0, 0.2, "Dog"),), "clip3": ()}
    label = [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    return split_of(label, [STRONG, WEAK, UNLABELLED, STRONG], events)


def test_strong_clips_train_by_frames_or_as_weak_ones():
    strong = supervision.supervised(mixed(), build(Loss, "loss"), 0.1)
    assert strong.known.tolist() == [STRONG, WEAK, UNLABELLED, STRONG]
    rolls = strong.strong_label[np.arange(4)]
    assert np.argwhere(rolls).tolist() == [[0, 0, 0], [0, 1, 0]]
    as_weak = supervision.supervised(mixed(), build(Loss, "loss", strong_weight=0), 0.1)
    assert as_weak.known.tolist() == [WEAK, WEAK, UNLABELLED, WEAK]
    assert as_weak.strong_label is None


def test_a_split_of_strong_clips_alone_trains_by_frames():
    split = split_of(clips(1, 1, 0, 0), events={"clip0": (), "clip1": ()})
    assert supervision.supervised(split, build(Loss, "loss"), 0.1).known.all()
    weak = supervision.supervised(split, build(Loss, "loss", strong_weight=0), 0.1)
    assert weak.known is None and weak.strong_label is None


def test_weak_clips_alone_say_nothing_of_kinds():
    split = supervision.supervised(split_of(clips(2, 1, 1, 1)), build(Loss, "loss"), 1)
    assert split.known is None and split.strong_label is None


def test_a_loss_without_clips_to_learn_from_is_refused():
    weak = split_of(clips(2, 1, 1, 0))
    with pytest.raises(ConfigError, match="no training clip has strong labels: noth"):
        supervision.supervised(weak, build(Loss, "loss", clip_weight=0.0), 0.1)

    class Own(Loss):
        uses_strong_labels = True

    own = Own(**dataclasses.asdict(build(Loss, "loss")))
    with pytest.raises(DataError, match="training has no strong labels, which the los"):
        supervision.supervised(weak, own, 0.1)


def test_the_shares_of_classes_are_of_labelled_clips():
    split = mixed()
    shares = supervision.class_shares(split, count_clips(split.weak_label))
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 0])


def remarks(split, **changes):
    config = defaults.config(**changes)
    return supervision.remarks(split, count_clips(split.weak_label), config)


def test_a_class_with_few_clips_is_said_with_how_often_they_will_be_shown():
    """36 clips, a third of the draws for 1 each: 1 / 3 / 1 to 1 / 36."""
    split = split_of(clips(20, 1, 15, 0))
    assert remarks(split) == [
        "Rooster: 1 training clip; balancing will show each 12 times as often as the "
        "mean"
    ]
    limited = remarks(split, **{"sampling.max_repeats": 3})
    assert "Rooster: 1 training clip; balancing will show each 3 times" in limited[0]
    [unbalanced] = remarks(split, **{"sampling.balanced": False})
    assert unbalanced == (
        "fewer than 10 training clips of Rooster (1): hardly anything is learnt from "
        "so few"
    )


def test_copies_at_other_speeds_do_not_make_many_clips_of_few():
    changes = {"data.root": "set", "data.speeds": (0.8, 1.25)}
    [said] = remarks(split_of(clips(60, 3, 45, 0)), **changes)
    assert said.startswith(
        "Rooster: 1 training clip; balancing will show each 12 times"
    )


def test_several_classes_with_few_clips_are_one_table():
    missing, table = remarks(split_of(clips(2, 8, 0, 0)))
    assert missing == "no training clip of Train: never learnt"
    assert table.splitlines()[1:] == [
        "class    clips  repeats",
        "Dog          2      2.5",
        "Rooster      8    0.625",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "1 unlabelled training clips are not trained on: loss.consistency_weight"),
        (
            {
                "loss.consistency_weight": 1.0,
                "training.weight_average": 0.9,
                "sampling.unlabelled_fraction": 0.0,
            },
            "1 unlabelled training clips are never drawn: sampling.unlabelled_fraction",
        ),
        (
            {"sampling.negative_fraction": 0.0},
            "1 training clips without a class are never drawn: sampling.negative_fr",
        ),
        (
            {"loss.strong_weight": 0.0},
            "2 training clips with strong labels are trained on as weak ones: loss.s",
        ),
    ],
)
def test_clips_that_are_not_fully_used_are_said(changes, expected):
    assert any(text.startswith(expected) for text in remarks(mixed(), **changes))
    plain = split_of(clips(12, 12, 12, 1))
    assert remarks(plain) == []


def test_a_teacher_needs_the_mean_of_the_weights():
    with pytest.raises(ConfigError, match=r"expected training.weight_average over 0"):
        defaults.config(**{"loss.consistency_weight": 1.0})


def test_runs_of_before_train_as_they_did():
    sections = json.loads(json.dumps(defaults.config().to_dict()))
    for name in ("max_repeats", "negative_fraction", "unlabelled_fraction"):
        del sections["sampling"][name]
    for name in ("strong_weight", "consistency_weight", "consistency_ramp_steps"):
        del sections["loss"][name]
    config = Config.from_dict(sections)
    assert config.loss.strong_weight == 0 and config.loss.consistency is None
    assert config.sampling.negative_fraction == 0 and config.sampling.max_repeats == 0


def test_other_strong_labels_are_other_training_clips(tmp_path):
    hashes = {f"training/{name}": {"sha256": name} for name in ("clip_ids.json",)}
    hashes |= {f"training/{n}.npy": {"sha256": n} for n in ("num_frames", "weak_label")}
    strong = hashes | {"training/events.json": {"sha256": "e"}}

    class Store:
        content_hash = ""

        def __init__(self, files):
            scaler = {"mean": [0.0], "std": [1.0]}
            self.splits = {"training": split_of(clips(1, 1, 1, 0))}
            self.card = {"files": files, "classes": {}, "scaler": scaler}

    weak, now = (describe_training_clips(Store(files)) for files in (hashes, strong))
    check_training_clips(now, now, tmp_path)
    with pytest.raises(DataError, match="the training clips have changed"):
        check_training_clips(weak, now, tmp_path)
    del weak["strong_labels"]  # as a run of an earlier version has it
    check_training_clips(weak, now, tmp_path)


def test_a_run_trains_on_clips_of_all_kinds(tmp_path, monkeypatch):
    """Whether they are sent to the devices or lie there."""
    small = {"front_end.clip_s": 1.0, "model.hidden": (4,), "sampling.batch_size": 4}
    length = {"training.num_epochs": 1, "training.steps_per_epoch": 3}
    terms = {"loss.clip_weight": 1.0, "loss.consistency_weight": 2.0}
    config = defaults.config(
        "mlp",
        **small,
        **length,
        **terms,
        **{"fusion.last_epoch": 1, "training.weight_average": 0.9},
        **{"sampling.balanced": True},
    )
    labels = [((0,), [(0.1, 0.4, "Dog")]), ((1,), None), (None, None), ((), [])]
    sources = {"training": LabelledSource(labels, True)}
    classes = ClassList(("/m/1", "/m/2", "/m/3"), NAMES)
    store = build_store(tmp_path / "store", sources, config.front_end, classes)
    mesh, sent, logs = parallel.make_mesh(jax.devices()[:2]), [], []

    def put_batch(rows, mesh):
        sent.append(rows)
        return parallel.put_batch(rows, mesh)

    monkeypatch.setattr("gcrnn_jax.training.loop.put_batch", put_batch)
    for fits in (False, True):
        monkeypatch.setattr(device_cache, "fits_on_devices", lambda *_, f=fits: f)
        run = Run(tmp_path / str(fits), config)
        run.folder.mkdir()
        assert train_run(run, store, mesh, lambda epoch, state: None)
        logs.append(step_log(run.folder))
    assert logs[0] == logs[1] and len(logs[0]) == 3
    for batch, held in zip(sent[:3], sent[3:], strict=True):
        # two unlabelled clips, a negative, whose events are known, and one with a class
        assert np.count_nonzero(batch["known"] == UNLABELLED) == 2
        assert np.count_nonzero(held["clips"] == 3) == 1
        assert np.isin([0, 1], held["clips"]).any()
