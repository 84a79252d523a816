"""Folders of recordings and labels -> clips -> feature stores -> batches.

In the order of the data:

    lists     readers of the files in which labels are written
    layouts   what the files of a folder say, for each layout that is known
    clips     that, looked up, cut and divided -> a data set
    dataset, folder, findings                what a folder holds, and what is wrong
    preparation, build_store, store, split   features, computed once, and their labels
    sampling, samplers, loader               clips of a batch (`loader`, with grain)
"""

from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.dataset import Dataset
from gcrnn_jax.data.findings import Code, Finding, strict
from gcrnn_jax.data.folder import find_splits, read_folder
from gcrnn_jax.data.labels import DCASE2017_CLASSES, ClassList
from gcrnn_jax.data.layouts import LayoutOptions
from gcrnn_jax.data.lists.event_lists import (
    Event,
    events_by_file,
    read_event_rows,
    write_event_list,
)
from gcrnn_jax.data.recording_source import recording_sources
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.store import FeatureStore, Split

__all__ = [
    "DCASE2017_CLASSES",
    "ClassList",
    "Code",
    "Dataset",
    "Event",
    "FeatureStore",
    "Finding",
    "LayoutOptions",
    "Sampling",
    "Split",
    "build_store",
    "events_by_file",
    "find_splits",
    "read_event_rows",
    "read_folder",
    "recording_sources",
    "strict",
    "write_event_list",
]
