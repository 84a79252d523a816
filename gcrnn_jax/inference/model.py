"""A trained model: one network, its weights, and all that goes with them."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import Mesh

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.loader import evaluation_batches
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.calibration import Probabilities
from gcrnn_jax.detection.posterior_files import Block, is_large
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.models.network import Network
from gcrnn_jax.models.shifted_inputs import ShiftedInputs
from gcrnn_jax.training import parallel, phases
from gcrnn_jax.training.augment import Scaler, standardize
from gcrnn_jax.training.model_files import write_model

PyTree = Any
Outputs = tuple[jax.Array, jax.Array, jax.Array]
_FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its weights, compiled for batches of one size.

    Attributes:
        card: What it was trained as; its thresholds.
        network: That computes the posteriors.
        variables: {"params": ..., "batch_stats": ...}, on any device or none.
        mesh: The devices that a batch is spread over.
        batch_size: Clips, or windows of recordings, computed at once.
        compiled: (variables, batch) -> clip, frame and attention on the devices.
    """

    card: ModelCard
    network: Network
    variables: PyTree
    mesh: Mesh
    batch_size: int
    compiled: Callable[[PyTree, PyTree], Outputs]

    @classmethod
    def create(
        cls,
        card: ModelCard,
        variables: PyTree,
        *,
        batch_size: int | None = None,
        mesh: Mesh | None = None,
    ) -> Self:
        """Prepares a card's network for prediction.

        Args:
            card: Of the model.
            variables: {"params": ..., "batch_stats": ...}.
            batch_size: Rounded up to a multiple of the devices; None: as in training.
            mesh: The devices; None: all.
        """
        mesh = parallel.make_mesh() if mesh is None else mesh
        batch_size = batch_size or card.config.sampling.batch_size
        batch_size = -(-batch_size // mesh.devices.size) * mesh.devices.size
        network = card.config.model.clone(num_classes=len(card.classes))
        shifted = card.config.prediction
        compiled = compile_network(network, card.scaler, mesh, shifted)
        return cls(card, network, variables, mesh, batch_size, compiled)

    def replace(self, *, card: ModelCard | None = None, variables: PyTree = None):
        """The same network with other weights or another card; nothing is compiled."""
        return dataclasses.replace(
            self,
            card=self.card if card is None else card,
            variables=self.variables if variables is None else variables,
        )

    @property
    def front_end(self) -> FrontEnd:
        """From waveforms to features."""
        return self.card.front_end

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.card.class_names

    @property
    def postprocessing(self) -> Postprocessing:
        """Its thresholds, and its way from posteriors to events."""
        return self.card.postprocessing

    @property
    def probabilities(self) -> Probabilities | None:
        """From its posteriors to probabilities, where its card has them."""
        return self.card.probabilities

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return self.network.time_reduction

    @property
    def hop_s(self) -> float:
        """Seconds a frame of posteriors."""
        return self.front_end.hop_s * self.time_reduction

    @property
    def min_input_frames(self) -> int:
        """Fewest frames of features to predict from; what lacks is padding."""
        return 1

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 of weights and card: equal for models that predict the same."""
        arrays = map(np.ascontiguousarray, jax.tree.leaves(self.variables))
        return hash_model(self.card.to_dict(), (array.data for array in arrays))

    def predict_batch(self, features: np.ndarray, num_frames: np.ndarray) -> Outputs:
        """Posteriors of unscaled features, on the devices.

        Args:
            features: float16 [batch_size, T, F], this process's rows.
            num_frames: int32 [batch_size], real frames of each row.

        Returns:
            Clip [B, K], frame [B, T', K] and attention [B, T', K]; 0 on padding.
        """
        rows = {"features": features, "num_frames": num_frames}
        return self.compiled(self._on_devices, parallel.put_batch(rows, self.mesh))

    def predict(self, split: Split) -> PosteriorSet:
        """Posteriors of all clips of a split of features.

        Frames too many for memory go to a file in the folder of temporary ones
        (TMPDIR), which is gone with them. By all processes, each of which gets all.

        Raises:
            DataError: The split has other classes, or other bins; or the posteriors of
                a clip are not finite.
            StorageError: The disk is full or fails.
        """
        blocks = self.predict_blocks(split)
        return PosteriorSet.from_blocks(blocks, **self.describe(split))

    def predict_blocks(self, split: Split) -> Iterator[Block]:
        """Yields clip [n, K] and frame [n, T', K] posteriors of some clips at a time.

        In the order of the split; by all processes at once, each of which gets all.
        """
        for outputs, count in self._outputs(split):
            clip, frame = parallel.to_host(outputs[:2])  # attention stays there
            yield clip[:count], frame[:count]
            phases.heartbeat()

    def describe(self, split: Split) -> dict[str, Any]:
        """The fields of a split's posteriors, without the posteriors."""
        return {
            "clip_ids": tuple(split.clip_ids),
            "class_names": tuple(split.class_names),
            "hop_s": self.hop_s,
            "postprocessing": self.postprocessing,
            "clip_s": self.front_end.clip_s,
        }

    def is_large(self, split: Split) -> bool:
        """Whether a split's frames of posteriors are too many for memory."""
        num_frames = -(-split.frame_shape[0] // self.time_reduction)
        return is_large(len(split), num_frames * len(split.class_names) * _FLOAT_BYTES)

    def attention(self, split: Split) -> np.ndarray:
        """How much each frame counts for each class, float32 [N, T, K], 0 if padded."""
        rows = [np.zeros((0, 0, len(split.class_names)), np.float32)]
        for outputs, count in self._outputs(split):
            rows.append(parallel.to_host(outputs[2])[:count])
        return np.concatenate(rows[1:] or rows)  # a split may be empty

    def check_features(self, store: FeatureStore) -> None:
        """Checks that features are such as the model was trained on.

        Raises:
            DataError: Their front end or their classes are others.
        """
        if self.front_end != store.front_end:
            came, expected = store.front_end.as_dict(), self.front_end.as_dict()
            raise DataError(
                f"{store.path} was computed by another front end than the model's: "
                + ", ".join(
                    f"{name} {came.get(name)!r}, expected {value!r}"
                    for name, value in expected.items()
                    if came.get(name) != value
                )
            )
        if self.card.classes.ids != store.classes.ids:
            raise DataError(f"{store.path} has other classes than the model")

    def save(self, path: Path) -> None:
        """Writes the model as those of epochs lie; replaces a model at path.

        Raises:
            DataError: A file of the front end is not to be found, or another.
            WorkdirError: It cannot be written there, or holds something else.
        """
        files = self.front_end.files()
        write_model(path, self.card.to_dict(), self.variables, files)

    @functools.cached_property
    def _on_devices(self) -> PyTree:
        return parallel.put_state(self.variables, self.mesh)

    def _outputs(self, split: Split) -> Iterator[tuple[Outputs, int]]:
        """Posteriors and attention of every batch, and how many of its rows count."""
        size = self.batch_size // jax.process_count()
        rows = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
        for batch, count in evaluation_batches(split, self.batch_size):
            local = (batch["features"][rows], batch["num_frames"][rows])
            yield self.predict_batch(*local), count


def compile_network(
    network: Network, scaler: Scaler, mesh: Mesh, shifted: ShiftedInputs
) -> Callable[[PyTree, PyTree], Outputs]:
    """A network as (variables, batch) -> clip, frame and attention on the devices.

    Args:
        network: With axis_name None.
        scaler: Of the features.
        mesh: The devices, over which the rows of a batch are spread.
        shifted: The inputs over which posteriors are averaged.
    """
    options = {"network": network, "scaler": scaler, "shifted": shifted}
    predict = functools.partial(_predict, **options)
    return parallel.data_parallel(predict, mesh, out_axes=parallel.AXIS)


def hash_model(card: Any, contents: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of a card, as JSON, and of the contents of arrays or programs."""
    content_hash = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for content in contents:
        content_hash.update(content)
    return content_hash.hexdigest()


def _predict(variables, batch, *, network: Network, scaler: Scaler, shifted) -> Outputs:
    features, frame_mask = standardize(batch["features"], batch["num_frames"], scaler)
    posteriors = shifted.apply(network, variables, features, frame_mask)
    # padding holds no sound: posteriors there count for nothing
    is_real = posteriors.frame_mask[:, :, None]
    return posteriors.clip, posteriors.frame * is_real, posteriors.attention * is_real
