"""Small networks with random weights, as they come from a checkpoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.exporting.exportable import exportable
from gcrnn_jax.system import make_model
from gcrnn_jax.training.checkpoints import Model
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
    "gated_crnn": {"filters": 3, "last_filters": 5, "rnn_units": 4},
    "mlp": {"hidden": [6]},
    "window_cnn": {"window_frames": 10, "filters": [3, 5, 4]},
    "frame_cnn": {
        "filters": [4, 6, 8],
        "time_pooling": [1, 4, 2],
        "tagging_units": [5],
    },
}


def make_stored(network="gated_crnn", front_end=None, seed=0, **fields):
    """A Model of three classes; nothing in it is at its initial 0 or 1."""
    front_end = front_end or defaults.front_end(clip_s=1.5)
    fields = {"network": network, **SMALL[network], **fields}
    features = jnp.zeros((1, 64, front_end.num_bins))
    variables = make_model(fields, 3).init(jax.random.key(seed), features)
    random = np.random.default_rng(seed)
    variables = jax.tree.map(
        lambda x: (x + 0.2 * random.normal(size=x.shape)).astype(np.float32), variables
    )
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(np.abs, variables["batch_stats"])
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
    return Model(card, {"batch_stats": {}, **variables})


@pytest.fixture(params=FRONT_ENDS)
def front_end(request):
    """Every kind of front end, one after the other."""
    return defaults.front_end(**FRONT_ENDS[request.param])


@pytest.fixture(scope="session")
def stored():
    """Makes a model as `load_model` gives it."""
    return make_stored


@pytest.fixture(scope="session")
def small():
    """Makes a model ready to be exported."""
    return lambda *args, **fields: exportable(make_stored(*args, **fields))


@pytest.fixture(scope="session")
def features_for():
    """Makes unscaled features [batch, frames, F]."""

    def make(model, batch, num_frames, seed=0):
        shape = (batch, num_frames, model.front_end.num_bins)
        noise = np.random.default_rng(seed).standard_normal(shape)
        return (model.scaler.mean + model.scaler.std * noise).astype(np.float32)

    return make
