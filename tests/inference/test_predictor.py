"""The predictor against its network, clip by clip, on one device and on four."""

import jax
import numpy as np
import pytest

from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.inference import Predictor
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Scaler

F = 4
PLAIN = Postprocessing((0.5, 0.4, 0.3), 0.2, 0.4, 0.45, True, False, 1.0, 0.0)
SCALER = Scaler(np.full(F, 0.2, np.float32), np.full(F, 1.5, np.float32))


class MemorySplit:
    def __init__(self, num_frames, T=16):
        rng = np.random.default_rng(0)
        self.num_frames = np.array(num_frames)
        count = len(num_frames)
        self.clip_ids = [f"clip {n}" for n in range(count)]
        self.features = rng.normal(size=(count, T, F)).astype(np.float16)
        self.weak_label = np.zeros((count, 3), bool)
        self.frame_shape = (T, F)
        self.class_names = ("x", "y", "z")

    def __len__(self):
        return len(self.clip_ids)

    def rows(self, indices):
        return self.features[indices]


def small_network(time_pooling, num_frames):
    """A network with one convolution before each pooling, and its weights."""
    blocks = len(time_pooling)
    model = GatedCrnn(
        3,
        blocks=(1,) * blocks,
        filters=2,
        time_pooling=time_pooling,
        frequency_pooling=(1,) * blocks,
        last_filters=3,
        rnn_units=2,
    )
    features = np.zeros((1, num_frames, F), np.float32)
    return model, jax.jit(model.init)(jax.random.key(0), features)


@pytest.fixture(scope="module")
def network():
    return small_network((2,), 16)


def test_frames_that_fill_no_pooled_frame_do_not_stretch_time():
    model, variables = small_network((4, 3), 23)
    predict = Predictor(model, SCALER, parallel.make_mesh(), batch_size=4)
    predicted = predict(variables, MemorySplit([23, 14], T=23), 0.1, PLAIN)
    assert predicted.frame.shape == (2, 1, 3)
    assert predicted.hop_s == pytest.approx(1.2)


def test_predicting_is_the_network_clip_by_clip_whatever_the_devices(network):
    model, variables = network
    split = MemorySplit([16, 6, 6, 16, 7, 6, 16])
    sets = []
    for num_devices in (1, 4):
        mesh = parallel.make_mesh(jax.devices()[:num_devices])
        predict = Predictor(model, SCALER, mesh, batch_size=3)
        sets.append(predict(variables, split, 0.1, PLAIN))
    np.testing.assert_allclose(sets[0].clip, sets[1].clip, atol=1e-6)
    np.testing.assert_allclose(sets[0].frame, sets[1].frame, atol=1e-6)
    assert sets[0].hop_s == pytest.approx(0.2)
    apply = jax.jit(model.apply)
    for n, count in enumerate(split.num_frames):
        if count % 2:  # half a pooled frame is no clip of its own
            continue
        alone = (split.features[n : n + 1, :count].astype(np.float32) - 0.2) / 1.5
        expected = apply(variables, alone)
        np.testing.assert_allclose(sets[0].clip[n], expected.clip[0], atol=1e-5)
        np.testing.assert_allclose(
            sets[0].frame[n, : count // 2], expected.frame[0], atol=1e-5
        )
        assert not sets[0].frame[n, count // 2 :].any()


def test_attention_is_what_the_clip_posterior_weights_frames_by(network):
    model, variables = network
    split = MemorySplit([16, 6, 6, 16, 7, 6, 16])
    predict = Predictor(model, SCALER, parallel.make_mesh(), batch_size=4)
    predicted = predict(variables, split, 0.1, PLAIN)
    attention = predict.attention(variables, split)
    assert attention.shape == predicted.frame.shape
    weighted = (attention * predicted.frame).sum(1) / attention.sum(1)
    np.testing.assert_allclose(weighted, predicted.clip, rtol=1e-5)
    for n, count in enumerate(split.num_frames):
        assert not attention[n, -(-int(count) // 2) :].any()
