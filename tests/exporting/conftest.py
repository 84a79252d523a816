"""Small networks with random weights, as they come from a checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.exporting import export_model, exportable
from gcrnn_jax.exporting.stablehlo import features_function
from gcrnn_jax.system import make_model
from gcrnn_jax.training.checkpoints import Model

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
    "window_cnn": {"window_frames": 10, "filters": [3, 4, 2]},
    "frame_cnn": {"filters": [4, 6], "time_pooling": [1, 4], "tagging_units": [5]},
}


def make_stored(network="gated_crnn", front_end=None, seed=0, **fields):
    """A Model of three classes; nothing in it is at its initial 0 or 1."""
    front_end = front_end or FrontEnd(num_mels=8, clip_s=0.5)
    fields = {"network": network, **SMALL[network], **fields}
    features = jnp.zeros((1, 64, front_end.num_bins))
    init, random = make_model(fields, 3).init, np.random.default_rng(seed)

    def values(path, leaf):
        noise = random.normal(0, 0.4, leaf.shape)
        is_scale = path[-1].key in ("scale", "var")
        return (1 + abs(noise) if is_scale else noise).astype(np.float32)

    shapes = jax.eval_shape(init, jax.random.key(0), features)
    card = {
        "format": "gcrnn_jax model 1",
        "config": {"model": fields, "data": {"root": ""}},
        "front_end": front_end.as_dict(),
        "classes": {"ids": ["/m/1", "/m/2", "/m/3"], "names": ["Car", "Bus", "Train"]},
        "scaler": {
            "mean": random.normal(-5, 1, front_end.num_bins).tolist(),
            "std": random.uniform(1, 3, front_end.num_bins).tolist(),
        },
        "hop_s": front_end.hop_s,
        "postprocessing": {"tag_threshold": [0.1, 0.2, 0.3]},
        "step": 7,
    }
    variables = jax.tree_util.tree_map_with_path(values, shapes)
    return Model(card, {"batch_stats": {}, **variables})


@pytest.fixture(params=FRONT_ENDS)
def front_end(request):
    """Every kind of front end, one after the other."""
    return FrontEnd(**FRONT_ENDS[request.param])


@pytest.fixture(scope="session")
def stored():
    """Makes a model as `load_model` gives it."""
    return make_stored


@pytest.fixture(scope="session")
def small():
    """Makes a model ready to be exported."""
    return lambda *args, **fields: exportable(make_stored(*args, **fields))


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
        return (model.scaler.mean + model.scaler.std * noise).astype(np.float32)

    return make
