"""The folder of a run: where everything lies in it, and what it was begun with.

config.json      the configuration
front_end.onnx   the model of a front end of kind "onnx"
data.json        what identifies the training clips
start.json       the model that it started from, if it did, and what it took
run.json         command, versions and devices of every start
checkpoints/     the model of every epoch, in folders named by the step
resume/          the newest states to continue from
averaged/        the model of averaged weights
posteriors/      posteriors of epochs, or of many clips their mean, a folder a split
metrics.jsonl    loss, norm of the gradient, rate, speed and time, a line a step
scores.jsonl     scores of the watched split, a line an epoch
goodput.json     what the time of all starts went to
diverged.json    why the last start ended, if training diverged
tensorboard/     both for TensorBoard, a file a start, where the run is to write it
results/         scores, decisions and report, a folder a split
members/         of an ensemble, which has no models of its own, the runs: 1, 2, ...
soundscapes/     the run on soundscapes that it, or its members, started from
teachers/        runs that it, or its members, learn from; found.npy: their posteriors
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.config import Config
from gcrnn_jax.data.atomic_files import read_json, write_atomically
from gcrnn_jax.data.manifest import OWN_HASH, unseal, write_sealed
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference.average import average_models
from gcrnn_jax.inference.card import WRONG_TYPES, ModelCard
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.runs.continuation import config_changes
from gcrnn_jax.runs.features import open_store
from gcrnn_jax.runs.loading import read_card_and_variables
from gcrnn_jax.runs.logs import read_curves
from gcrnn_jax.runs.start import start_card
from gcrnn_jax.runs.training_clips import (
    check_training_clips,
    describe_training_clips,
)
from gcrnn_jax.training.checkpoints import saved_steps

PyTree = Any

_SOUNDSCAPES_CHANGED = " (built-in soundscapes are others since version 0.2)"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is trained, or was.

    Attributes:
        folder: Of all that it writes.
        config: Of the system; of a continued run that of its last start.
    """

    folder: Path
    config: Config
    # whose start and teachers it has: of a member its ensemble, of a teacher its run
    shared: "Run | None" = None

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """The run in a folder.

        Raises:
            DataError: There is none, or its configuration cannot be read.
        """
        folder = Path(folder)
        path = folder / "config.json"
        values = read_json(path)
        try:
            config = Config.from_dict(_without_hash(values))
        except (ConfigError, *WRONG_TYPES) as error:
            raise DataError(f"{path}: {str(error)[:500]}") from error
        unseal(values, path)
        path = config.front_end.config_fields()["path"]
        front_end = config.front_end.found_near(folder, path)
        return cls(folder, dataclasses.replace(config, front_end=front_end))

    @property
    def members(self) -> "list[Run]":
        """The runs of an ensemble's members; of a single system, none."""
        members, earlier = [], self.config.earlier()
        for number, config in enumerate(self.config.members(), start=1):
            shared = self if config.earlier() == earlier else None
            members.append(Run(self.folder / "members" / str(number), config, shared))
        return members

    @property
    def teachers(self) -> "list[Run]":
        """The runs whose posteriors it learns from; maybe none."""
        configs, owner = self.config.teachers(), self.shared or self
        folder = self.found_frames.parent
        return [Run(folder / str(n), one, owner) for n, one in enumerate(configs, 1)]

    @property
    def found_frames(self) -> Path:
        """The posteriors of its teachers."""
        return (self.shared or self).folder / "teachers" / "found.npy"

    @property
    def soundscapes(self) -> "Run | None":
        """The run on soundscapes whose model it starts from; None: it does not."""
        config = self.config.soundscape_start()
        folder = (self.shared or self).folder
        return None if config is None else Run(folder / "soundscapes", config)

    @property
    def start_path(self) -> Path | None:
        """The model that it starts from; None: it starts from none."""
        if self.soundscapes:
            return self.soundscapes.averaged
        start_from = self.config.training.start_from
        return Path(start_from) if start_from else None

    @property
    def models(self) -> Path:
        """The folder of the models of its epochs."""
        return self.folder / "checkpoints"

    @property
    def states(self) -> Path:
        """The folder of the states to continue from."""
        return self.folder / "resume"

    @property
    def start(self) -> Path:
        """What it took of the model that it started from."""
        return self.folder / "start.json"

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

    @property
    def saved_epochs(self) -> set[int]:
        """The epochs that are reported on: the fused ones and the last."""
        last = self.config.training.num_epochs
        return {*self.config.fusion.epochs(last), last}

    def is_scored(self, epoch: int) -> bool:
        """Whether an epoch is scored while the run trains."""
        is_due = epoch % self.config.training.evaluate_every == 0
        return is_due or epoch in self.saved_epochs

    def curves(self) -> dict[str, Any]:
        """The loss and the scores over epochs; see `logs.read_curves`."""
        steps_per_epoch = self.config.training.steps_per_epoch
        num_steps = max(saved_steps(self.models), default=0)
        epochs = range(1, num_steps // steps_per_epoch + 1)
        num_scored = sum(map(self.is_scored, epochs))
        paths = self.losses, self.scores
        return read_curves(*paths, steps_per_epoch, num_steps, num_scored=num_scored)

    def results(self, split: Split) -> Path:
        """The folder of scores, decisions and report of a split."""
        return self.folder / "results" / split.name

    def posteriors(self, split: Split, epoch: int) -> Path:
        """The posteriors of an epoch; elsewhere once the clips have changed."""
        name = f"{split.name}-{split.content_hash[:8]}"
        return self.folder / "posteriors" / name / f"epoch-{epoch}.npz"

    @property
    def divergence(self) -> Path:
        """Why its last start ended, if training diverged; another rate may be tried."""
        return self.folder / "diverged.json"

    @property
    def has_begun(self) -> bool:
        """Whether anything was saved: of its training, or what its teachers found."""
        kept = [self.averaged, self.scores, self.found_frames]
        for folder in (self.models, self.states):
            found = folder.iterdir() if folder.is_dir() else ()
            kept += [path for path in found if path.name.isdigit()]
        is_begun = any(path.exists() for path in kept)
        return is_begun or any(member.has_begun for member in self.members)

    @property
    def has_diverged(self) -> bool:
        """Whether its last start ended because it, or a member of it, diverged."""
        parts = [*self.members, *self.teachers, *filter(None, [self.soundscapes])]
        return self.divergence.exists() or any(one.has_diverged for one in parts)

    def check_config(self, *, rate_may_change: bool = False) -> None:
        """Compares the configuration with the one that the folder was begun with.

        Where nothing was saved yet, as after a first command with a mistake in it, the
        configuration may be any: it replaces the one that is there.

        Args:
            rate_may_change: Whether the learning rate may be another, though this run
                has not diverged: another member of its ensemble has.

        Raises:
            ConfigError: A field differs that would make it another run; names each.
            DataError: The configuration in the folder cannot be read.
        """
        path = self.folder / "config.json"
        if not path.exists() or not self.has_begun:
            return
        written = read_json(path)
        before, now = _without_hash(written), self.config.to_dict()
        rate_may_change |= self.has_diverged
        if changes := config_changes(before, now, rate_may_change=rate_may_change):
            unseal(written, path)  # or was it damaged?
            raise ConfigError(
                f"{self.folder} holds a run with another configuration:",
                *(f"  {change}" for change in changes),
                "Continue with the old values, or choose another --workdir",
            )

    def write_config(self) -> None:
        """Keeps the configuration with the run; a divergence is over then.

        And files of the front end, which its models need wherever the run goes.
        """
        self.divergence.unlink(missing_ok=True)
        for name, content in self.config.front_end.files().items():
            path = self.folder / name
            if not path.exists() or path.read_bytes() != content:
                write_atomically(path, [content])
        write_sealed(self.folder / "config.json", self.config.to_dict())

    def write_data(self, store: FeatureStore) -> None:
        """Keeps what identifies the data, if it is not there or nothing was saved."""
        path = self.folder / "data.json"
        if not path.exists() or not self.has_begun:
            write_sealed(path, describe_training_clips(store))

    def check_data(self, store: FeatureStore) -> None:
        """Compares the training clips with those that the run was begun with.

        The same: ids, lengths, labels and classes, and the scaler up to what another
        processor's rounding makes of it.

        Raises:
            DataError: They are others, or what is in the folder cannot be read.
        """
        path = self.folder / "data.json"
        before = unseal(read_json(path), path)
        # those of version 0.1 cannot be made any more
        cause = "" if self.config.data.root else _SOUNDSCAPES_CHANGED
        check_training_clips(before, describe_training_clips(store), self.folder, cause)

    def open_store(self) -> FeatureStore:
        """The features that the run was begun with.

        Raises:
            DataError: Its training clips have changed.
        """
        store = open_store(self.config)
        self.check_data(store)
        return store

    def card(self, store: FeatureStore) -> ModelCard:
        """The card of the models that it trains on the features of a store.

        Their scaler is that of the model that the run starts from, if it does.

        Raises:
            DataError: That model is not there, or cannot be read.
        """
        card, start = ModelCard.from_run(self.config, store), start_card(self)
        return card if start is None else dataclasses.replace(card, scaler=start.scaler)

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


def _without_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != OWN_HASH}
