"""Training clips played faster and slower, from the folder to the store."""

import dataclasses

import numpy as np
import pytest
import soundfile

from gcrnn_jax.data.build_store import StorePlan
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.folder import default_options, find_splits
from gcrnn_jax.data.preparation import summary
from gcrnn_jax.data.recording_source import recording_sources
from gcrnn_jax.data.samplers import BalancedSampler
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.speed_copies import SpeedCopies
from gcrnn_jax.data.without_recordings import store_without_recordings
from gcrnn_jax.errors import ConfigError, DataError, RecordingsMissingError
from tests import defaults

FRONT_END = defaults.front_end(clip_s=1.0)
SPEEDS = (0.5, 1.25)
EVENTS = """recording,onset,offset,event_label
a.wav,0.1,0.3,cat
a.wav,0.7,0.95,dog
"""


@pytest.fixture
def root(tmp_path):
    """A tone of 1 kHz with strong labels, noises with weak and with none."""
    root = tmp_path / "set"
    root.mkdir()
    times = np.arange(16000) / 16000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * times)
    noises = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 8000))
    for name, waveform in zip("abcd", (tone, *noises), strict=True):
        soundfile.write(root / f"{name}.wav", waveform, 16000)
    rows = "a.wav,training,cat;dog\nb.wav,training,dog\nc.wav,training,?\n"
    rows += "d.wav,validation,cat\n"
    (root / "clips.csv").write_text("recording,split,labels\n" + rows)
    (root / "events.csv").write_text(EVENTS)
    return root


def options(root, store="", **changes):
    fields = {
        "root": str(root),
        "store": str(store),
        "speeds": SPEEDS,
        "num_workers": 0,
    }
    return defaults.build(DataOptions, "data", **fields | changes)


def copies(root):
    found = find_splits(root, default_options(1.0))
    source = recording_sources(found, FRONT_END)[0]["training"]
    return SpeedCopies(source, SPEEDS, 1.0, 16000, found.classes.names, len(source))


def test_a_copy_is_as_much_shorter_and_higher_as_it_is_faster(root):
    source = copies(root)
    assert source.clip_ids[:3] == ["a", "b", "c"] and len(source) == 9
    assert source.clip_ids[3:] == [
        f"{one}@{s}" for s in ("0.5", "1.25") for one in "abc"
    ]
    for copy, (speed, length) in enumerate(((1, 16000), (0.5, 16000), (1.25, 12800))):
        waveform = source.load(3 * copy).waveform
        assert len(waveform) == length
        spectrum = np.abs(np.fft.rfft(waveform * np.hanning(length)))
        assert spectrum.argmax() * 16000 / length == pytest.approx(1000 * speed, abs=2)
    assert len(source.load(3 + 1).waveform) == 16000  # half a second, played in one


def test_the_labels_of_a_copy_are_those_of_the_part_that_is_used(root):
    """At half the speed a second becomes two, of which one is used."""
    source = copies(root)
    strong = [source.load(index) for index in (0, 3, 6)]
    for loaded in strong:
        names = {name for _, _, name in loaded.events or ()}
        known = np.flatnonzero(np.asarray(loaded.weak_label))
        assert {source.class_names[k] for k in known} == names
    whole, slow, fast = (loaded.events or () for loaded in strong)
    assert whole == ((0.1, 0.3, "cat"), (0.7, 0.95, "dog"))
    times = [event[:2] for event in fast]
    np.testing.assert_allclose(times, [[0.08, 0.24], [0.56, 0.76]])
    for onset, offset, name in slow:  # of the half that is used
        assert name == "dog" and 0 < onset < offset <= 1
    assert len(slow) == 1
    one, other = (np.asarray(source.load(index).weak_label) for index in (1, 4))
    np.testing.assert_array_equal(one, other)
    assert source.load(3 + 2).weak_label is None  # unlabelled


def test_a_store_has_the_copies_and_is_of_the_same_data(root, tmp_path):
    store = options(root, tmp_path / "store").prepare(FRONT_END, seed=0)
    plain = options(root, tmp_path / "plain", speeds=()).prepare(FRONT_END, seed=0)
    assert store.content_hash == plain.content_hash
    training, source = store.splits["training"], copies(root)
    assert [*training.clip_ids] == source.clip_ids
    assert training.kinds.tolist() == 3 * plain.splits["training"].kinds.tolist()
    assert [*store.splits["validation"].clip_ids] == ["d"]
    for index in range(len(source)):
        expected = FRONT_END(source.load(index).waveform).astype(np.float16)
        features = training.rows([index])[0, : training.num_frames[index]]
        np.testing.assert_array_equal(features, expected)


def test_a_share_describes_the_originals_of_its_copies(root):
    source = copies(root)
    described = source.share([4, 8])["copied"]["clips"]
    assert [clip[:2] for clip in described] == [(1, "b"), (2, "c")]
    assert len({source.cache_key(index) for index in range(9)}) == 9
    assert len({source.content_hash(index) for index in range(9)}) == 3


def test_a_share_that_another_process_reads_makes_the_same_store(root, tmp_path):
    data = options(root, tmp_path / "shared")
    plan = data.plan(FRONT_END, seed=0)
    assert isinstance(plan, StorePlan)
    with plan.held():
        assert plan.share(1)
        data.read_share(FRONT_END, 0, number=1).build(0)
        shared = plan.finish(0)
    whole = options(root, tmp_path / "store").prepare(FRONT_END, seed=0)
    one, other = (store.splits["training"] for store in (shared, whole))
    assert one.clip_ids == other.clip_ids and one.events == other.events
    np.testing.assert_array_equal(one.rows(range(9)), other.rows(range(9)))
    np.testing.assert_array_equal(one.kinds, other.kinds)


def test_no_copy_of_a_clip_that_is_held_out_is_trained_on(data_folder, tmp_path):
    root = data_folder(training=6, testing=1)
    store = options(root, tmp_path / "store", held_out_fraction=0.5).prepare(
        FRONT_END, seed=0
    )
    held_out, training = (
        {*store.splits[name].clip_ids} for name in ("held_out", "training")
    )
    assert len(held_out) == 9 and len(training) == 9
    assert {one.partition("@")[0] for one in training}.isdisjoint(held_out)
    assert store.num_copies == {"training": 6, "held_out": 6}
    for name in ("training", "held_out"):
        assert len(store.originals(name)) == 3
    scored = store.find_split("held_out").clip_ids
    assert len(scored) == 3 and not any("@" in one for one in scored)


def test_ids_that_end_as_those_of_copies_do_are_ids(root, tmp_path):
    """Two takes of a recording may be named take@1 and take@2."""
    (root / "b.wav").rename(root / "b@2.wav")
    rows = (root / "clips.csv").read_text().replace("b.wav", "b@2.wav")
    (root / "clips.csv").write_text(rows)
    data = options(root, tmp_path / "store", speeds=())
    store = data.prepare(FRONT_END, seed=0)
    for seed in range(3):
        parts = dataclasses.replace(data, held_out_fraction=0.6).prepare(
            FRONT_END, seed
        )
        ids = [*parts.splits["training"].clip_ids, *parts.splits["held_out"].clip_ids]
        assert sorted(ids) == ["a", "b@2", "c"]
    for path in root.glob("*.wav"):
        path.unlink()
    assert data.prepare(FRONT_END, seed=0).content_hash == store.content_hash


def test_a_copy_has_the_name_of_no_other_clip(root, tmp_path):
    (root / "c.wav").rename(root / "b@2.wav")
    rows = (root / "clips.csv").read_text().replace("c.wav", "b@2.wav")
    (root / "clips.csv").write_text(rows)
    options(root, tmp_path / "store").plan(FRONT_END, seed=0)
    with pytest.raises(DataError, match="b@2: the name of a clip is that of"):
        options(root, tmp_path / "store", speeds=(2.0,)).plan(FRONT_END, seed=0)


def test_what_is_wrong_with_a_clip_is_said_once_and_counts_once(root, tmp_path):
    """As many may be lost as without copies, and not a part for each speed."""
    (root / "c.wav").write_text("no sound")
    said = []
    for name, speeds in (("plain", ()), ("copies", SPEEDS)):
        with pytest.raises(DataError) as error:
            options(root, tmp_path / name, speeds=speeds).prepare(FRONT_END, seed=0)
        rejects = (tmp_path / name / "rejects.csv").read_text()
        said.append((str(error.value).replace(name, ""), rejects))
        assert "1 of 4 clips" in said[0][0] and "; 1 recordings were not" in said[0][0]
        data = options(root, tmp_path / name, speeds=speeds, max_bad_fraction=0.25)
        store = data.prepare(FRONT_END, seed=0)
        assert store.card["num_bad"] == 1
        assert (tmp_path / name / "rejects.csv").read_text() == rejects
    assert said[0] == said[1]
    assert "training: 6 clips, 4 of them copies at other speeds, " in summary(store)
    assert "; 1 rejected" in summary(store)
    (root / "c.wav").unlink()
    missing = []
    for speeds in ((), SPEEDS):
        with pytest.raises(RecordingsMissingError) as error:
            options(root, tmp_path / "new", speeds=speeds).prepare(FRONT_END, seed=0)
        missing.append(str(error.value))
    assert missing[0] == missing[1]


def test_copies_are_not_scored(root, tmp_path):
    store = options(root, tmp_path / "store").prepare(FRONT_END, seed=0)
    assert [*store.originals("training").clip_ids] == ["a", "b", "c"]
    assert [*store.find_split("training").clip_ids] == ["a"]  # with strong labels
    assert [len(split) for split in store.scored_splits()] == [1, 1]
    assert len(store.splits["training"]) == 9


def test_a_store_with_other_copies_does_not_stand_for_recordings_that_are_gone(
    root, tmp_path
):
    options(root, tmp_path / "store").prepare(FRONT_END, seed=0)
    for path in root.glob("*.wav"):
        path.unlink()
    again = options(root, tmp_path / "store").prepare(FRONT_END, seed=0)
    assert len(again.splits["training"]) == 9
    with pytest.raises(RecordingsMissingError):
        options(root, tmp_path / "store", speeds=(0.5,)).prepare(FRONT_END, seed=0)


def test_features_of_copies_at_other_speeds_do_not_stand_for_a_folder_that_is_gone(
    root, tmp_path
):
    made = options(root, tmp_path / "store", speeds=(1 / 1.2,))
    made.prepare(FRONT_END, seed=0)
    root.rename(tmp_path / "elsewhere")
    reason = RecordingsMissingError("gone")
    for speeds, stands in (((1 / 1.2,), True), ((0.5,), False), ((), False)):
        how = dataclasses.replace(made, speeds=speeds).layout_options(FRONT_END)
        place = tmp_path / "store", str(root), FRONT_END, how, reason
        if stands:
            assert store_without_recordings(*place).num_copies == {"training": 3}
        else:
            with pytest.raises(RecordingsMissingError):
                store_without_recordings(*place)


@pytest.mark.parametrize(
    "speeds", [(1.0,), (0.8, 0.8), (0.8, 0.80000001), (1.0000001,), (0.2,), (5.0,)]
)
def test_speeds_that_make_no_copies_are_refused(speeds):
    with pytest.raises(ConfigError, match=r"data: speeds.*got"):
        options("", speeds=speeds)


def test_copies_of_clips_make_no_class_larger():
    weak_label = np.repeat(np.eye(2, dtype=bool), (20, 10), axis=0)
    copied = np.tile(weak_label, (3, 1))[:-1]  # one was not to be read
    fields = {"batch_size": 4, "class_size_thresholds": (10, 30)}
    sampling = defaults.build(Sampling, "sampling", **fields)
    samplers = [
        sampling.make_sampler(labels, 0, copies=copies)
        for labels, copies in ((weak_label, 1), (copied, 3))
    ]
    for sampler in samplers:
        assert isinstance(sampler, BalancedSampler)
        assert sampler.weights.tolist() == [2, 2]
