"""Small networks with random weights, as they come from a checkpoint."""

import jax
import numpy as np
import pytest

from configs import sed
from gcrnn_jax.exporting import export_model
from gcrnn_jax.exporting.stablehlo import features_function
from gcrnn_jax.inference import ModelCard, TrainedModel
from gcrnn_jax.models import network_fields
from tests import defaults

FRONT_ENDS = {
    "default": {},
    "other window, zeros around it, power": {
        "window": "periodic_hann",
        "window_length": 400,
        "fft_length": 512,
        "hop_length": 160,
        "power": 2.0,
        "num_mels": 40,
    },
    "centered": {"centered": True, "hop_length": 500},
    "centered, odd": {"centered": True, "window_length": 801, "num_mels": 32},
    "mfcc": {"kind": "mfcc"},
    "mfcc of wider fits": {"kind": "mfcc", "delta_width": 15, "num_coefficients": 20},
}
SMALL = {
    "gated_crnn": {
        "blocks": [2, 1],
        "time_pooling": [1, 1],
        "frequency_pooling": [2, 2],
        "filters": 3,
        "last_filters": 4,
        "last_frequency_pooling": 2,
        "rnn_units": 3,
    },
    "mlp": {"hidden": [6]},
    "attention_mlp": {"hidden": [6]},
    "window_cnn": {"window_frames": 10, "filters": [3, 4, 2]},
    "vgg_cnn": {
        "filters": [3, 4],
        "units": 1,
        "time_pooling": [2, 2],
        "frequency_pooling": [2, 1],
    },
    "frame_cnn": {"filters": [4, 6], "time_pooling": [1, 4], "tagging_units": [5]},
}


def make_model(kind="gated_crnn", front_end=None, root="", shift_bins=0, **fields):
    """A model of three classes; nothing in it is at its initial 0 or 1."""
    front_end = front_end or defaults.front_end(num_mels=8, clip_s=0.5)
    config = {"gated_crnn": "sed", "attention_mlp": "embeddings"}.get(kind, kind)
    network = defaults.network(3, config, **{**SMALL[kind], **fields})
    features = np.zeros((1, 64, front_end.num_bins), np.float32)
    random = np.random.default_rng(0)

    def values(path, leaf):
        noise = random.normal(0, 0.4, leaf.shape)
        is_scale = path[-1].key in ("scale", "var")
        return (1 + abs(noise) if is_scale else noise).astype(np.float32)

    shapes = jax.eval_shape(network.init, jax.random.key(0), features)
    sections = sed.get_config().to_dict()
    sections["data"]["root"] = root
    sections["prediction"]["shift_bins"] = shift_bins
    card = {
        "format": "gcrnn_jax model 1",
        "config": {**sections, "model": network_fields(network)},
        "front_end": front_end.as_dict(),
        "classes": {"ids": ["/m/1", "/m/2", "/m/3"], "names": ["Car", "Bus", "Train"]},
        "scaler": {
            "mean": random.normal(-5, 1, front_end.num_bins).tolist(),
            "std": random.uniform(1, 3, front_end.num_bins).tolist(),
        },
        "postprocessing": sections["postprocessing"],
        "step": 7,
    }
    variables = jax.tree_util.tree_map_with_path(values, shapes)
    return TrainedModel.create(
        ModelCard.from_dict(card, "a test"), {"batch_stats": {}, **variables}
    )


@pytest.fixture(params=FRONT_ENDS)
def front_end(request):
    """Every kind of front end, one after the other."""
    return defaults.front_end(**FRONT_ENDS[request.param])


@pytest.fixture(scope="session")
def small():
    """Makes a model."""
    return make_model


@pytest.fixture(scope="session")
def model(small):
    """One such model, not to be changed."""
    return small("mlp", median_frames=3)


@pytest.fixture(scope="session")
def predict(model):
    """What `model` computes of features."""
    return jax.jit(features_function(model))


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """The folder of `model` in both formats, not to be changed."""
    folder = tmp_path_factory.mktemp("both") / "exported"
    export_model(model, folder)
    return folder


@pytest.fixture(scope="session")
def features_for():
    """Makes unscaled features [batch, frames, F]."""

    def make(model, batch, num_frames, seed=0):
        shape = (batch, num_frames, model.front_end.num_bins)
        noise = np.random.default_rng(seed).standard_normal(shape)
        return (model.card.scaler.mean + model.card.scaler.std * noise).astype(
            np.float32
        )

    return make
