"""The folder of a run: where everything lies in it, and what it was begun with.

config.json      the configuration
data.json        what identifies the training clips
checkpoints/     the model of every epoch, in folders named by the step
resume/          the newest states to continue from
averaged/        the model of averaged weights
posteriors/      posteriors of epochs, a folder a split
metrics.jsonl    loss and norm of the gradient, a line a step
scores.jsonl     scores of the watched split, a line an epoch
goodput.json     what the time went to, over all starts
results/         scores, decisions and report, a folder a split
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from gcrnn_jax.config import Config, as_json_lists, flatten
from gcrnn_jax.data.atomic_files import read_json, write_atomically
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference.average import average_models
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.metrics.scoring import Scores
from gcrnn_jax.old_names import with_todays_names
from gcrnn_jax.runs.loading import read_card_and_variables
from gcrnn_jax.runs.logs import append_scores, read_curves
from gcrnn_jax.training import parallel
from gcrnn_jax.training.checkpoints import saved_steps

PyTree = Any

_CONTENT_HASH = "data_sha256"
_SOUNDSCAPES_CHANGED = " (built-in soundscapes are others since version 0.2)"
_SCALER_TOLERANCE = 1e-3  # in units of the features, whose deviations are 1 to 4

# What may change between a run and its continuation: the rest would make another run.
# Where the data lie may, what they are may not: `check_data`.
_FREE = (
    "training.num_epochs",
    "fusion.",
    "postprocessing.",
    "thresholds.",
    "parallel.cpu_devices",
    "parallel.device_cache_fraction",
    "data.root",
    "data.num_workers",
    "data.max_bad_fraction",
    "data.store",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is trained, or was.

    Attributes:
        folder: Of all that it writes.
        config: Of the system; of a continued run that of its last start.
    """

    folder: Path
    config: Config

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in a folder.

        Raises:
            DataError: There is none, or its configuration cannot be read.
        """
        folder = Path(folder)
        path = folder / "config.json"
        try:
            return cls(folder, Config.from_dict(read_json(path)))
        except ConfigError as error:
            raise DataError(f"{path}: {error}") from error

    @property
    def models(self) -> Path:
        """The folder of the models of its epochs."""
        return self.folder / "checkpoints"

    @property
    def states(self) -> Path:
        """The folder of the states to continue from."""
        return self.folder / "resume"

    @property
    def averaged(self) -> Path:
        """The model of averaged weights."""
        return self.folder / "averaged"

    @property
    def losses(self) -> Path:
        """The log of every step."""
        return self.folder / "metrics.jsonl"

    @property
    def scores(self) -> Path:
        """The log of every epoch's scores."""
        return self.folder / "scores.jsonl"

    def append_scores(self, epoch: int, split_name: str, scores: Scores) -> None:
        """Adds the scores of an epoch to the log; see `logs.append_scores`."""
        append_scores(self.scores, epoch, split_name, scores)

    def curves(self) -> dict[str, Any]:
        """The loss and the scores over epochs; see `logs.read_curves`."""
        steps_per_epoch = self.config.training.steps_per_epoch
        return read_curves(self.losses, self.scores, steps_per_epoch)

    def results(self, split: Split) -> Path:
        """The folder of scores, decisions and report of a split."""
        return self.folder / "results" / split.name

    def posteriors(self, split: Split, epoch: int) -> Path:
        """The posteriors of an epoch; elsewhere once the clips have changed."""
        name = f"{split.name}-{split.content_hash[:8]}"
        return self.folder / "posteriors" / name / f"epoch-{epoch}.npz"

    def check_config(self) -> None:
        """Compares the configuration with the one that the folder was begun with.

        Raises:
            ConfigError: A field differs that would make it another run; names each.
            DataError: The configuration in the folder cannot be read.
        """
        path = self.folder / "config.json"
        if not path.exists():
            return
        before = flatten(as_json_lists(with_todays_names(read_json(path))))
        now = flatten(as_json_lists(self.config.to_dict()))
        free = _FREE
        if (schedule := before.get("optimizer.schedule")) != "constant":
            free = free[1:]  # the rate at every step depends on the number of epochs
        prolonged = {_FREE[0]: f" (a {schedule} schedule cannot be prolonged)"}
        changes = [
            f"{name}: {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
            + prolonged.get(name, "")
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name) and not name.startswith(free)
        ]
        if changes:
            raise ConfigError(
                f"{self.folder} holds a run with another configuration:\n  "
                + "\n  ".join(changes)
                + "\nContinue with the old values, or choose another --workdir"
            )

    def write_config(self) -> None:
        """Keeps the configuration with the run."""
        _write(self.folder / "config.json", self.config.to_dict())

    def write_data(self, store: FeatureStore) -> None:
        """Keeps what identifies the data, if it is not there."""
        path = self.folder / "data.json"
        if not path.exists():
            _write(path, {_CONTENT_HASH: store.content_hash, **_training_clips(store)})

    def check_data(self, store: FeatureStore) -> None:
        """Compares the training clips with those that the run was begun with.

        The same: ids, lengths, labels and classes, and the scaler up to what another
        processor's rounding makes of it.

        Raises:
            DataError: They are others, or what is in the folder cannot be read.
        """
        now = _training_clips(store)
        before = read_json(self.folder / "data.json")
        before.pop(_CONTENT_HASH, None)  # of all splits, for those who read scores
        if before == now:
            return
        exact = ("clips", "labels", "classes")
        same = before.keys() == now.keys() and all(before[n] == now[n] for n in exact)
        if not same or not all(
            len(before[name]) == len(now[name])
            and np.allclose(before[name], now[name], atol=_SCALER_TOLERANCE)
            for name in ("mean", "std")
        ):
            # those of version 0.1 cannot be made any more
            cause = "" if self.config.data.root else _SOUNDSCAPES_CHANGED
            raise DataError(
                f"the training clips have changed since the run in {self.folder} was "
                f"begun ({before.get('clips')} clips then, {now['clips']} now): bring "
                f"the old ones back, or choose another --workdir{cause}"
            )
        logging.warning(
            "the training features are not to the bit those that the run in %s was "
            "begun with: computed on another processor, or a recording has changed",
            self.folder,
        )

    def open_store(self) -> FeatureStore:
        """The features that the run was begun with.

        Raises:
            DataError: Its training clips have changed.
        """
        store = open_store(self.config)
        self.check_data(store)
        return store

    def load_epoch(self, epoch: int) -> tuple[ModelCard, PyTree]:
        """The card and the weights of an epoch.

        Raises:
            DataError: The run has no such epoch, or its model cannot be read.
        """
        steps_per_epoch = self.config.training.steps_per_epoch
        steps = saved_steps(self.models)
        if epoch * steps_per_epoch not in steps:
            epochs = [step // steps_per_epoch for step in steps]
            raise DataError(f"{self.folder} has no epoch {epoch}; it has {epochs}")
        return read_card_and_variables(self.models / str(epoch * steps_per_epoch))

    def average(self, model: TrainedModel) -> TrainedModel:
        """The model of the averaged weights of the fused epochs; written to the folder.

        By all processes, from a compiled model of the run. Its thresholds are those of
        the configuration.
        """
        failpoint("report.average")
        epochs = self.config.fusion.epochs(self.config.training.num_epochs)
        card, variables = average_models(self.load_epoch(epoch) for epoch in epochs)
        card = dataclasses.replace(card, postprocessing=self.config.postprocessing)
        averaged = model.replace(card=card, variables=variables)
        averaged.save(self.averaged)
        return averaged

    def predict_epochs(
        self, epochs: Sequence[int], split: Split, model: TrainedModel
    ) -> Iterator[PosteriorSet]:
        """Posteriors of epochs, counted from 1, computed where not yet on disk.

        The model is of the run; it takes the weights of the epochs.
        """
        for epoch in epochs:
            path, posteriors = self.posteriors(split, epoch), None
            with contextlib.suppress(DataError):  # not there, or damaged
                posteriors = PosteriorSet.load(path)
            if parallel.broadcast_from_first(posteriors is not None):
                posteriors = posteriors or PosteriorSet.load(path)
            else:
                _, variables = self.load_epoch(epoch)
                posteriors = model.replace(variables=variables).predict(split)
                if jax.process_index() == 0:
                    posteriors.save(path)
            postprocessing = self.config.postprocessing
            yield dataclasses.replace(posteriors, postprocessing=postprocessing)


def find_run(model: Path) -> Run | None:
    """The run of a model: a folder's, a checkpoint's or an averaged one's, if any."""
    for folder in [model, *model.resolve().parents[:2]]:
        if (folder / "config.json").is_file() and (folder / "metrics.jsonl").exists():
            return Run.open(folder)
    return None


def open_store(config: Config) -> FeatureStore:
    """The features of the configured data, computed by the first process if need be."""
    prepare = functools.partial(config.data.prepare, config.front_end, config.seed)
    return parallel.first_then_all(prepare, "features are ready")


def _training_clips(store: FeatureStore) -> dict[str, Any]:
    files = ("clip_ids.json", "num_frames.npy", "weak_label.npy")
    return {
        "clips": len(store.splits["training"]),
        "digest": store.splits["training"].content_hash,
        "labels": [store.card["files"][f"training/{file}"]["sha256"] for file in files],
        "classes": store.card["classes"],
        **store.card["scaler"],
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, [(json.dumps(content, indent=2) + "\n").encode()])
