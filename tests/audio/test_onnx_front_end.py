"""A front end of an ONNX model gives that model's frames, as NumPy computes them."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from gcrnn_jax.audio.front_end import FrontEnd, make_front_end
from gcrnn_jax.audio.onnx_model import open_model
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError
from gcrnn_jax.prediction.stream import feature_windows
from tests import defaults, onnx_models
from tests.onnx_models import HOP, WIDTH, by_mels, framed, framing, of_mels

CLIP = 16000  # samples
FRAMES = (CLIP - WIDTH) // HOP + 1  # of `framing`


def front_end(path, **changes) -> FrontEnd:
    fields = {"kind": "onnx", "path": path, "clip_s": 1.0, "num_mels": 20}
    return defaults.front_end(**{**fields, **changes})


def noise(size, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rank": 1},
        {"rank": 3},
        {"transposed": True},
        {"dtype": "float64"},
        {"dtype": "float16"},
        {"size": FRAMES},  # as many values as frames: time is what grows
    ],
)
def test_frames_of_a_waveform_are_those_of_the_model(tmp_path, options):
    one = front_end(framing(tmp_path / "m.onnx", **options))
    size = options.get("size", 5)
    atol = 1e-2 if options.get("dtype") == "float16" else 1e-4
    assert (one.num_frames, one.num_bins) == (FRAMES, size)
    assert one.hop_samples == HOP and one.hop_s == 0.02
    waveform = noise(3 * CLIP)
    whole = one(waveform)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, framed(waveform[:CLIP], size), atol=atol)
    for length in (WIDTH + HOP, CLIP - 1):
        expected = framed(np.pad(waveform[:length], (0, max(0, 1024 - length))), size)
        np.testing.assert_allclose(one(waveform[:length]), expected, atol=atol)
    assert one(waveform[:0]).shape == (0, size)
    assert len(one(waveform[:1])) == (1024 - WIDTH) // HOP + 1  # of a log-mel frame


def test_finer_frames_are_averaged_over_a_time(tmp_path):
    path = framing(tmp_path / "m.onnx")
    merged = front_end(path, mean_over_s=0.1)
    assert (merged.num_frames, merged.hop_s) == (-(-FRAMES // 5), 0.1)
    fine, coarse = front_end(path)(noise(CLIP)), merged(noise(CLIP))
    assert len(fine) % 5 == 4
    np.testing.assert_allclose(coarse[0], fine[:5].mean(0), rtol=1e-5)
    np.testing.assert_allclose(coarse[-1], fine[-4:].mean(0), rtol=1e-5)
    assert front_end(path, mean_over_s=0.01).num_frames == FRAMES
    assert front_end(path, mean_over_s=9.0).num_frames == 1


@pytest.mark.parametrize(
    ("shape", "frames"),
    [
        (["n", 20], 1),
        ([1, "n", 20], 3),
        ([1, 20, "n"], 1),
        ([1, 1, "n", 20], 3),
        (["batch", 1, 20, "n"], 1),
    ],
)
def test_frames_of_log_mels_are_those_of_the_model(tmp_path, shape, frames):
    one = front_end(of_mels(tmp_path / "m.onnx", 20, shape, frames))
    log_mel = one.log_mel(noise(CLIP))
    expected = by_mels(log_mel, frames)
    np.testing.assert_allclose(one(noise(CLIP)), expected, rtol=1e-4, atol=1e-4)
    assert (one.num_frames, one.num_bins) == expected.shape
    assert one.hop_samples == 664 * frames
    # one log-mel frame; what is missing to three of them is silence
    rest = np.full((frames - 1, 20), np.log(one.floor))
    padded = np.concatenate([one.log_mel(noise(1024)), rest])
    np.testing.assert_allclose(one(noise(1024)), by_mels(padded, frames), atol=1e-3)


def test_a_model_that_merges_a_clip_gives_one_frame(tmp_path):
    one = front_end(framing(tmp_path / "m.onnx", pooled=True))
    assert (one.num_frames, one.num_bins, one.hop_samples) == (1, 5, CLIP)
    for length in (CLIP, 5000):
        expected = framed(noise(length)).mean(0, keepdims=True)
        np.testing.assert_allclose(one(noise(length)), expected, atol=1e-4)


@pytest.mark.parametrize(("pooled", "count"), [(True, 1), (False, 19)])
def test_a_model_of_one_length_hears_a_clip_in_parts(tmp_path, pooled, count):
    """Of 0.4 s, a frame each or 19; the last is filled up, and its frames left out."""
    path = framing(tmp_path / "m.onnx", samples=6400, pooled=pooled)
    one = front_end(path)
    parts = np.split(np.pad(noise(CLIP), (0, 3200)), 3)
    frames = [framed(part) for part in parts]
    expected = np.concatenate([x.mean(0, keepdims=True) for x in frames])
    if not pooled:
        expected = np.concatenate(frames)
    num_frames = -(-CLIP * count // 6400)
    assert one.num_frames == num_frames
    np.testing.assert_allclose(one(noise(CLIP)), expected[:num_frames], atol=1e-4)
    assert one.hop_samples == round(6400 / count)
    assert len(one(noise(CLIP)[:6400])) == count
    assert len(one(noise(CLIP)[:7000])) == -(-7000 * count // 6400)


def test_frames_that_come_unevenly_divide_a_clip_evenly(tmp_path):
    """Two frames more for 320 samples more, from the first on: the hop is no 320."""
    one = front_end(framing(tmp_path / "m.onnx", times=2))
    assert one.num_frames == 2 * FRAMES
    assert one.hop_samples == round(CLIP / (2 * FRAMES))


def test_models_that_take_any_shape_are_asked_in_turn(tmp_path):
    """A graph with three free axes is first tried with log-mel frames."""
    path = of_mels(tmp_path / "m.onnx", 20, ["a", "b", "c"])
    assert front_end(path).as_dict()["input"] == "float32 [1, T, M]"
    path = framing(tmp_path / "w.onnx", samples="s")
    assert front_end(path).as_dict()["input"] == "float32 [1, S]"


def test_it_travels_as_plain_values_and_by_its_hash(tmp_path):
    one = front_end(framing(tmp_path / "m.onnx"))
    written = json.loads(json.dumps(one.as_dict()))
    assert "path" not in written
    os.remove(tmp_path / "m.onnx")  # what is written needs no file
    again = FrontEnd.from_dict(written)
    assert again == one and again.as_dict() == one.as_dict()
    assert hash(again) == hash(one)
    with pytest.raises(
        DataError, match=r"no front_end\.onnx .* of SHA-256 [0-9a-f]{64}"
    ):
        again(noise(CLIP))
    other = front_end(framing(tmp_path / "n.onnx", scale=2.0))
    assert other != one


def test_another_model_at_the_same_path_is_noticed(tmp_path):
    one = front_end(framing(tmp_path / "m.onnx"))
    framing(tmp_path / "m.onnx", scale=2.0)
    fresh = pickle.loads(pickle.dumps(one))
    open_model.cache_clear()
    with pytest.raises(DataError, match=r"m\.onnx: another model than the features"):
        fresh(noise(CLIP))
    with pytest.raises(DataError, match=r"m\.onnx: another model than the features"):
        fresh.files()
    assert front_end(str(tmp_path / "m.onnx")) != one


def test_values_beyond_what_a_store_holds_are_refused_with_their_size(tmp_path):
    one = front_end(framing(tmp_path / "m.onnx", scale=1e6))
    with pytest.raises(Rejected, match=r"NONFINITE: .* beyond the 65504 of float16"):
        one(noise(CLIP))


@pytest.mark.parametrize("kind", ["frames", "merged", "pooled", "mels"])
def test_windows_of_a_long_recording_are_features_of_clips(tmp_path, kind):
    if kind == "mels":
        path = of_mels(tmp_path / "m.onnx", 20, [1, "n", 20], 3)
    else:
        path = framing(tmp_path / "m.onnx", pooled=kind == "pooled")
    one = front_end(path, mean_over_s=0.06 if kind == "merged" else 0.0)
    waveform, hop = noise(int(3.3 * CLIP)), one.hop_samples
    blocks = np.split(waveform, [100, 20000, 20001, 50000])
    end, multiple = 0, 1 if kind == "pooled" else 2
    for start, features in feature_windows(one, blocks, multiple):
        assert start % multiple == 0 and start <= end  # no frame is left out
        end = start + len(features)
        expected = one(waveform[start * hop :])
        np.testing.assert_array_equal(features, expected)
    assert end * hop >= len(waveform) - hop - 1024


def test_a_store_is_computed_by_workers_and_stays_when_the_model_moves(
    tmp_path, data_folder
):
    root = data_folder(training=34, testing=2)
    one = front_end(framing(tmp_path / "m.onnx"))
    prepared = defaults.prepare(root, tmp_path / "two", one, num_workers=2)
    alone = defaults.prepare(root, tmp_path / "one", one)
    for store in (prepared, alone):
        split = FeatureStore.open(store.path).splits["training"]
        assert split.frame_shape == (FRAMES, 5)
    rows = [store.splits["training"].rows(range(34)) for store in (prepared, alone)]
    np.testing.assert_array_equal(*rows)
    shutil.move(tmp_path / "m.onnx", tmp_path / "moved.onnx")
    moved = front_end(str(tmp_path / "moved.onnx"))
    before = (alone.path / "card.json").stat().st_mtime_ns
    again = defaults.prepare(root, tmp_path / "one", moved)
    assert (again.path / "card.json").stat().st_mtime_ns == before
    other = front_end(framing(tmp_path / "moved.onnx", scale=2.0))
    changed = defaults.prepare(root, tmp_path / "one", other)
    assert (changed.path / "card.json").stat().st_mtime_ns != before


def test_fields_that_do_not_apply_are_ignored(tmp_path):
    fields = defaults.section("front_end", num_mels=20, clip_s=1.0)
    del fields["num_coefficients"], fields["delta_width"]
    fields |= {"kind": "onnx", "path": framing(tmp_path / "m.onnx")}
    assert make_front_end(fields) == front_end(fields["path"])
    assert onnx_models.HOP == make_front_end(fields).hop_samples
