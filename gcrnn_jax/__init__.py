"""What sounds are in a recording and when, learnt from labels that only say that.

Data flows down this list, and a file imports only from its own room or rooms above:

    errors      the ways a command ends early, and their exit codes
    failpoints  faults at named points, for tests of what survives them
    machine     cores and memory that this process may use
    allocator   the C library's memory, as XLA wants it
    fields      sections of a configuration, and flags, -> typed objects
    progress    bars on terminals, plain lines elsewhere
    audio       files -> waveforms -> log-mel, MFCC, embeddings; built-in soundscapes
    data        folders in any layout -> clips; feature stores, sampling, batches
    detection   posteriors of clips and frames; their fusion, thresholds and events
    metrics     the official scores and plain ones, how sure they are, tables
    evaluation  any system's events and scores -> all figures, intervals, comparisons
    models      gated convolution, bidirectional GRU, attention; the networks
    training    the step, devices and processes, checkpoints, the loop
    old_names   configurations and flags of version 0.1, under the names of today
    field_names  names of a configuration's fields; one misspelt -> the nearest
    config      a configuration: one typed object for each section
    arguments   the command line of training -> a configuration and a folder
    inference   models and their cards; posteriors of splits; averaged weights
    runs        the folder of a run, its training, and the fusion of several
    exporting   a model as programs without this package: StableHLO, ONNX; loading them
    checking    what can be wrong with recordings and lists, and what they hold
    report      systems side by side, as text and as a page; pictures of clips
    prediction  recordings of any length -> posteriors, tags, events, files of them
    prepare     command: recordings and lists -> a feature store
    check       command: a folder of recordings and lists -> what is wrong with it
    average_checkpoints  command: weights of several epochs -> one model
    export      command: a model -> programs for other software, compared with it first
    fuse        command: posteriors of several epochs or systems -> one
    predict     command: any recordings -> tags and events
    evaluate    command: a reference and estimates of any system -> scores
    main        command: train, evaluate and report one system
    cli         the command `gcrnn`, whose verbs are the commands above
    __main__    the same command, as `python -m gcrnn_jax`
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from gcrnn_jax.errors import exit_at_signals

if TYPE_CHECKING:
    from gcrnn_jax.audio.front_end import FrontEnd, LogMel, Mfcc
    from gcrnn_jax.config import Config, load_config
    from gcrnn_jax.data.preparation import prepare_folder, prepare_part
    from gcrnn_jax.data.store import FeatureStore, Split
    from gcrnn_jax.detection.events import decode_events
    from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
    from gcrnn_jax.detection.postprocess import Postprocessing
    from gcrnn_jax.errors import ConfigError, DataError, GcrnnError
    from gcrnn_jax.inference import ModelCard, TrainedModel
    from gcrnn_jax.metrics import Evaluator
    from gcrnn_jax.metrics.segment import segment_scores
    from gcrnn_jax.metrics.tagging import tagging_scores
    from gcrnn_jax.models import GatedCrnn, Network
    from gcrnn_jax.prediction import Ensemble, Prediction
    from gcrnn_jax.prediction.loading import load_model
    from gcrnn_jax.runs import Run
    from gcrnn_jax.training import Loss, TrainStep

__version__ = "0.2.0"

# Of a command from its first moment on: a program that imports this is left alone.
if os.path.basename(sys.argv[0] if sys.argv else "") == "gcrnn" or (
    sys.argv[:1] == ["-m"]
    and any(word.partition(".")[0] == "gcrnn_jax" for word in sys.orig_argv)
):
    exit_at_signals()

# Imported when they are asked for: `import gcrnn_jax` alone brings nothing heavy.
_PLACES = {
    "Config": "config",
    "ConfigError": "errors",
    "DataError": "errors",
    "Ensemble": "prediction",
    "Evaluator": "metrics",
    "FeatureStore": "data",
    "FrontEnd": "audio",
    "GatedCrnn": "models",
    "GcrnnError": "errors",
    "LogMel": "audio",
    "Loss": "training",
    "Mfcc": "audio",
    "ModelCard": "inference",
    "Network": "models",
    "PosteriorSet": "detection",
    "Postprocessing": "detection",
    "Prediction": "prediction",
    "Run": "runs",
    "Split": "data",
    "TrainStep": "training",
    "TrainedModel": "inference",
    "decode_events": "detection",
    "fuse_posteriors": "detection",
    "load_config": "config",
    "load_model": "prediction.loading",
    "prepare_folder": "data.preparation",
    "prepare_part": "data.preparation",
    "segment_scores": "metrics",
    "tagging_scores": "metrics",
}

__all__ = [*_PLACES]


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
