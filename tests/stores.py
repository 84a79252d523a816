"""What lies in the folders of stores and runs, for comparing them."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from gcrnn_jax.data.store_shards import Loaded


def content(path: Path) -> dict[str, bytes]:
    """Every file but the lock, which names its last holder."""
    files = (
        file for file in path.rglob("*") if file.is_file() and file.name != ".lock"
    )
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def step_log(folder: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl, without what differs from start to start."""
    varying = {"clips_per_s", "time_s", "crc32"}
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{name: line[name] for name in line.keys() - varying} for line in lines]


@dataclasses.dataclass
class LabelledSource:
    """Noise with labels and events of every clip, each None where not known."""

    labels: list
    has_events: bool
    num_copies = 0  # of no type: it is no field

    @property
    def clip_ids(self):
        return [f"clip{index}" for index in range(len(self.labels))]

    def __len__(self):
        return len(self.labels)

    def cache_key(self, index):
        return repr(self.labels[index])

    def missing(self):
        return []

    def location(self, index):
        return f"clip{index}.wav", index + 1

    def content_hash(self, index):
        return f"{index:064}"

    def load(self, index):
        noise = np.random.default_rng(index).standard_normal(9000).astype(np.float32)
        labels, events = self.labels[index]
        if labels is None:
            return Loaded(noise, None, events)
        weak_label = np.zeros(3, bool)
        weak_label[list(labels)] = True
        return Loaded(noise, weak_label, events)
