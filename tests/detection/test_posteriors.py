import dataclasses

import jax
import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet, fuse
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference import Predictor
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Scaler

SMALL = {
    "blocks": (1, 1),
    "filters": 4,
    "time_pooling": (2, 1),
    "frequency_pooling": (2, 2),
    "last_filters": 6,
    "rnn_units": 3,
}


PLAIN = Postprocessing((0.5, 0.4, 0.3), 0.2, 0.4, 0.45, True, False, 1.0, 0.0)


def make_set(seed, num_frames=6, hop_s=0.1):
    rng = np.random.default_rng(seed)
    return PosteriorSet(
        ("a", "ä b"),
        ("Car", "Bus", "Air horn, truck horn"),
        hop_s,
        rng.random((2, 3), np.float32),
        rng.random((2, num_frames, 3), np.float32),
        PLAIN,
    )


class MemorySplit:
    def __init__(self, count, T=16, F=16):
        rng = np.random.default_rng(0)
        self.clip_ids = [f"clip {n}" for n in range(count)]
        self.features = rng.normal(size=(count, T, F)).astype(np.float16)
        self.num_frames = rng.integers(4, T + 1, count)
        self.weak_label = np.zeros((count, 3), bool)
        self.frame_shape = (T, F)
        self.class_names = ("x", "y", "z")

    def __len__(self):
        return len(self.clip_ids)

    def rows(self, indices):
        return self.features[indices]


def test_what_is_saved_is_loaded(tmp_path):
    one = make_set(0)
    one.save(tmp_path / "new folder" / "one.npz")
    again = PosteriorSet.load(tmp_path / "new folder" / "one.npz")
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(
            getattr(again, field.name), getattr(one, field.name)
        )
    assert again.clip_ids == one.clip_ids


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_posterior_file_is_named(tmp_path, content):
    path = tmp_path / "bad.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.npz"):
        PosteriorSet.load(path)


def test_a_posterior_file_that_was_cut_short_is_named(tmp_path):
    make_set(0).save(tmp_path / "cut.npz")
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.npz"):
        PosteriorSet.load(tmp_path / "cut.npz")


def test_frames_that_fill_no_pooled_frame_do_not_stretch_time():
    model = GatedCrnn(3, **{**SMALL, "time_pooling": (4, 3)})
    scaler = Scaler(np.zeros(16, np.float32), np.ones(16, np.float32))
    variables = model.init(jax.random.key(0), np.zeros((1, 23, 16), np.float32))
    predict = Predictor(model, scaler, parallel.make_mesh(), batch_size=4)
    predicted = predict(variables, MemorySplit(2, T=23), 0.1, PLAIN)
    assert predicted.frame.shape == (2, 1, 3)
    assert predicted.hop_s == pytest.approx(1.2)


def test_fusing_is_the_mean():
    sets = [make_set(seed) for seed in range(3)]
    fused = fuse(sets)
    np.testing.assert_allclose(
        fused.clip, np.mean([s.clip for s in sets], 0), rtol=1e-6
    )
    np.testing.assert_allclose(
        fused.frame, np.mean([s.frame for s in sets], 0), rtol=1e-6
    )


def test_fusing_brings_coarse_frames_to_the_finest():
    fine, coarse = make_set(0, 6, 0.1), make_set(1, 3, 0.2)
    fused = fuse([coarse, fine])
    assert fused.hop_s == 0.1
    expected = (fine.frame + np.repeat(coarse.frame, 2, axis=1)) / 2
    np.testing.assert_allclose(fused.frame, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class_names": ("Car", "Bus", "Train")}, "other classes"),
        ({"clip_ids": ("ä b", "a")}, "clip 1 is 'ä b', expected 'a'"),
        ({"clip_ids": ("a",)}, "1 clips, expected 2"),
        ({"clip": np.full((2, 3), np.nan, np.float32)}, "not finite"),
    ],
)
def test_systems_that_do_not_belong_together_are_refused(change, told):
    with pytest.raises(DataError, match=told):
        fuse([make_set(0), dataclasses.replace(make_set(1), **change)])


def test_predicting_is_the_network_clip_by_clip_whatever_the_devices():
    split, model = MemorySplit(7), GatedCrnn(3, **SMALL)
    scaler = Scaler(np.full(16, 0.2, np.float32), np.full(16, 1.5, np.float32))
    variables = model.init(jax.random.key(0), np.zeros((1, 16, 16), np.float32))
    sets = []
    for num_devices in (1, 4):
        mesh = parallel.make_mesh(jax.devices()[:num_devices])
        predict = Predictor(model, scaler, mesh, batch_size=3)
        sets.append(predict(variables, split, 0.1, PLAIN))
    np.testing.assert_allclose(sets[0].clip, sets[1].clip, atol=1e-6)
    np.testing.assert_allclose(sets[0].frame, sets[1].frame, atol=1e-6)
    assert sets[0].hop_s == pytest.approx(0.2)
    for n, count in enumerate(split.num_frames):
        if count % 2:  # half a pooled frame is no clip of its own
            continue
        alone = (split.features[n : n + 1, :count].astype(np.float32) - 0.2) / 1.5
        expected = model.apply(variables, alone)
        np.testing.assert_allclose(sets[0].clip[n], expected.clip[0], atol=1e-5)
        np.testing.assert_allclose(
            sets[0].frame[n, : count // 2], expected.frame[0], atol=1e-5
        )
        assert not sets[0].frame[n, count // 2 :].any()


def test_attention_is_what_the_clip_posterior_weights_frames_by():
    split = MemorySplit(7)
    model = GatedCrnn(3, **SMALL)
    scaler = Scaler(np.full(16, 0.2, np.float32), np.full(16, 1.5, np.float32))
    variables = model.init(jax.random.key(2), np.zeros((1, 24, 16), np.float32))
    predict = Predictor(model, scaler, parallel.make_mesh(), batch_size=4)
    predicted = predict(variables, split, 0.1, PLAIN)
    attention = predict.attention(variables, split)
    assert attention.shape == predicted.frame.shape
    weighted = (attention * predicted.frame).sum(1) / attention.sum(1)
    np.testing.assert_allclose(weighted, predicted.clip, rtol=1e-5)
    for n, count in enumerate(split.num_frames):
        assert not attention[n, -(-int(count) // 2) :].any()
