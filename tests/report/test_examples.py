"""Cases are the worst of each class, their sound and lines are those of the clip."""

import dataclasses
import io
import json

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.metrics.tagging import average_precision, precision_recall
from gcrnn_jax.report import examples
from gcrnn_jax.report.clip_cards import log_mel_of, mp3
from gcrnn_jax.report.clip_readers import clip_reader, folder_reader
from gcrnn_jax.runs import logs
from tests import defaults
from tests.defaults import prepare

RULES = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.0, 0.5)


@pytest.fixture(scope="module")
def row_and_split():
    return scored(60, ("Car", "Bus", "Train"))


def scored(num_clips, names):
    random = np.random.default_rng(1)
    split = Split(
        "testing",
        clip_ids=[f"c{n}" for n in range(num_clips)],
        num_frames=np.full(num_clips, 5, np.int32),
        weak_label=random.random((num_clips, len(names))) < 0.4,
        events=None,
        shards=(),
        frame_shape=(5, 4),
        class_names=names,
        content_hash="0",
        data_content_hash="0",
    )
    kinds = (random.random((num_clips, *t, len(names))) for t in ((), (5,)))
    clip, frame = (kind.astype(np.float32) for kind in kinds)
    posteriors = PosteriorSet(split.clip_ids, names, 0.1, clip, frame, RULES)
    return Evaluator(split, None).with_own_thresholds("a", posteriors), split


def test_each_class_has_its_worst_false_alarms_and_misses(row_and_split):
    row, split = row_and_split
    selection = examples.select_examples(row, split)
    for k in range(3):
        wrong = [
            (float(row.posteriors.clip[n, k]), n)
            for n in range(len(split))
            if row.decisions.tags[n, k] != split.weak_label[n, k]
        ]
        alarms = sorted((p, n) for p, n in wrong if p > 0.5)[::-1][:3]
        misses = sorted((p, n) for p, n in wrong if p <= 0.5)[:3]
        for kind, expected in (("false alarm", alarms), ("miss", misses)):
            found = [
                (example.posterior, example.clip)
                for example in selection.examples
                if (example.kind, example.class_index) == (kind, k)
            ]
            assert found == expected
    firsts = [(example.kind, example.class_index) for example in selection.examples[:6]]
    assert firsts == [(kind, k) for kind in ("false alarm", "miss") for k in range(3)]
    assert (
        sorted({example.clip for example in selection.examples})
        == selection.clips.tolist()
    )
    assert sum(selection.num_examples.values()) == int(
        (row.decisions.tags | split.weak_label).sum()
    )


def test_no_more_clips_are_shown_than_a_page_holds():
    row, split = scored(300, tuple(f"class {k}" for k in range(10)))
    selection = examples.select_examples(row, split)
    assert len(selection.clips) == 40 <= len(selection.examples)
    assert {e.clip for e in selection.examples} == set(selection.clips.tolist())
    assert list(selection.select(split).clip_ids) == [f"c{n}" for n in selection.clips]


def test_the_sound_of_the_page_is_that_of_the_recording():
    waveform = np.zeros(32000, np.float32)
    waveform[16000:] = 0.3 * np.sin(np.arange(16000) * 0.3)
    decoded, rate_hz = soundfile.read(io.BytesIO(mp3(waveform, 16000)))
    assert rate_hz == 16000 and len(decoded) == 32000
    loud = np.abs(decoded).reshape(200, 160).max(1) > 0.1
    assert abs(np.flatnonzero(loud)[0] * 0.01 - 1.0) < 0.02  # cursors stand right
    level = np.sqrt(np.mean(decoded[20000:30000] ** 2))
    assert level == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_other_rates_become_the_nearest_that_mp3_has():
    _, rate_hz = soundfile.read(io.BytesIO(mp3(np.zeros(20000, np.float32), 20000)))
    assert rate_hz == 22050


def test_recordings_of_a_folder_are_those_the_features_came_from(data_folder, tmp_path):
    root = data_folder(training=3, testing=4)
    store = prepare(root, tmp_path / "store", num_workers=1)
    split, read = store.splits["testing"], folder_reader(root, store.front_end)
    for n, clip_id in enumerate(split.clip_ids):
        features = store.front_end(read(clip_id))
        assert len(features) == split.num_frames[n]
        kept = split.rows([n])[0][: len(features)]
        np.testing.assert_array_equal(features.astype(np.float16), kept)
        shown = log_mel_of(split, n, store.front_end, None)
        assert len(shown) == split.num_frames[n]
    short = dataclasses.replace(store.front_end, clip_s=0.2)
    assert len(folder_reader(root, short)(split.clip_ids[0])) == short.clip_length
    with pytest.raises(Rejected, match="no recording of this clip"):
        read("another")
    gone = folder_reader(tmp_path / "gone", store.front_end)
    with pytest.raises(Rejected, match="gone"):
        gone(split.clip_ids[0])


def test_mfcc_clips_are_shown_by_the_log_mel_of_their_recording(data_folder, tmp_path):
    root = data_folder(training=3, testing=2)
    mfcc, front_end = defaults.front_end(kind="mfcc"), defaults.front_end()
    store = prepare(root, tmp_path / "store", mfcc, num_workers=1)
    split = store.splits["testing"]
    waveform = folder_reader(root, mfcc)(split.clip_ids[1])
    shown = log_mel_of(split, 1, mfcc, waveform)
    np.testing.assert_array_equal(shown, front_end(waveform))
    assert log_mel_of(split, 1, mfcc, None) is None


def test_soundscapes_are_made_again(tmp_path):
    store = defaults.soundscapes(
        {"training": 2, "testing": 3}, 5, tmp_path, num_workers=1
    )
    data = defaults.build(DataOptions, "data")
    read = clip_reader(data, 5, store.front_end)
    for name in ("training", "testing"):
        split = store.splits[name]
        features = store.front_end(read(split.clip_ids[1])).astype(np.float16)
        np.testing.assert_array_equal(features, split.rows([1])[0])


def test_precision_over_recall_sums_to_average_precision():
    random = np.random.default_rng(2)
    for _ in range(20):
        posterior = np.round(random.random(40), 1)
        label = random.random(40) < 0.3
        points = np.array(precision_recall(label, posterior))
        if not label.any():
            assert not points.size
            continue
        steps = np.diff(points[:, 0], prepend=0)
        area = float((steps * points[:, 1]).sum())
        assert area == pytest.approx(average_precision(label, posterior), abs=1e-12)


def test_long_curves_keep_both_ends_and_lie_on_the_whole():
    random = np.random.default_rng(3)
    posterior, label = random.random(1000), random.random(1000) < 0.3
    few = precision_recall(label, posterior, max_points=50)
    whole = precision_recall(label, posterior, max_points=5000)
    assert len(few) == 50 and len(whole) == 1000
    assert (few[0], few[-1]) == (whole[0], whole[-1])
    assert all(point in whole for point in few)


def test_scores_of_epochs_are_kept_once_each_and_lost_epochs_go(
    row_and_split, tmp_path
):
    row, split = row_and_split
    scores = score(decide(row.posteriors, RULES), row.posteriors, split)
    for epoch in (1, 2, 3, 2):
        logs.append_scores(tmp_path / "scores.jsonl", epoch, "testing", scores)
    with (tmp_path / "scores.jsonl").open("a") as file:
        file.write('{"epoch": 3, "spl')  # a machine died
    losses = [{"step": n, "loss": n} for n in range(1000)]
    text = "".join(json.dumps(line) + "\n" for line in losses)
    (tmp_path / "metrics.jsonl").write_text(text)
    found = logs.read_curves(
        tmp_path / "metrics.jsonl", tmp_path / "scores.jsonl", steps_per_epoch=100
    )
    assert [line["epoch"] for line in found["scores"]] == [1, 2]
    assert found["scores"][0]["tag_f1"] == scores.tagging.micro.f1
    assert found["split"] == "testing"
    x, loss = np.array(found["loss"]).T
    assert len(x) == 400 and 0 < x[0] < 0.02 and 9.98 < x[-1] < 10
    np.testing.assert_allclose(loss, 100 * x - 0.5)  # the mean of its steps
