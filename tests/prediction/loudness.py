"""Models without a network: their posteriors say how loud each frame is."""

from types import SimpleNamespace

import numpy as np

from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.prediction.ensemble import Ensemble
from gcrnn_jax.prediction.posteriors import FRAME
from tests import defaults
from tests.prediction.conftest import NAMES

HOP_S = 0.0415


def blocks_of(waveform, size):
    return lambda _: (waveform[i : i + size] for i in range(0, len(waveform), size))


def frames_of(one):
    return np.concatenate(list(one.blocks()))[:, FRAME]


def loudness_model(front_end=None, *, reduction=1, min_input_frames=1):
    """A model whose posteriors are those of each frame alone: how loud it is."""
    front_end = front_end or defaults.front_end()

    def predict_batch(features, num_frames):
        loud = 1 / (1 + np.exp(-(features.astype(float).mean(-1) + 6)))
        loud = loud.reshape(len(loud), -1, reduction).max(-1)[..., None]
        return np.ones((len(features), 3)), loud * [1.0, 0.5, 0.0], None

    decide = Postprocessing(
        tag_threshold=0.5,
        event_threshold=0.3,
        gap_s=0.1,
        min_event_s=0.1,
        require_clip_tag=True,
        at_least_one_tag=False,
        hysteresis=1.0,
        median_s=0.0,
        box_filter_s=0.0,
        box_merge=0.5,
    )
    return SimpleNamespace(
        front_end=front_end,
        class_names=NAMES,
        hop_s=front_end.hop_s * reduction,
        time_reduction=reduction,
        postprocessing=decide,
        probabilities=None,
        content_hash="loud",
        batch_size=4,
        min_input_frames=min_input_frames,
        predict_batch=predict_batch,
    )


def loudness_ensemble(*models):
    models = models or (loudness_model(),)
    return Ensemble(models, models[0].postprocessing)
