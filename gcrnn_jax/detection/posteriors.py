"""Posteriors of one system on one set of clips: made, saved, loaded and fused."""

import dataclasses
import functools
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.data.loader import evaluation_batches
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError, GcrnnError
from gcrnn_jax.models.network import Network
from gcrnn_jax.training.augment import Scaler, standardize
from gcrnn_jax.training.parallel import AXIS, pmapped, put_batch, to_host

# What NumPy raises for files that are missing, cut short or something else.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    GcrnnError,
)


@dataclasses.dataclass(frozen=True)
class PosteriorSet:
    """What a system says of every clip of a set."""

    clip_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    hop_s: float  # seconds a frame
    clip: np.ndarray  # float32 [N, K]
    frame: np.ndarray  # float32 [N, T, K]
    postprocessing: Postprocessing  # the system's way from posteriors to decisions

    def save(self, path: Path) -> None:
        """Writes a NumPy archive, whole or not at all.

        Raises:
            StorageError: The disk is full or fails.
            WorkdirError: It cannot be written there.
        """
        archive = io.BytesIO()
        np.savez(
            archive,
            allow_pickle=False,
            clip_ids=np.array(self.clip_ids, dtype=np.str_),
            class_names=np.array(self.class_names, dtype=np.str_),
            hop_s=np.float64(self.hop_s),
            clip=self.clip,
            frame=self.frame,
            postprocessing=json.dumps(dataclasses.asdict(self.postprocessing)),
        )
        make_folder(path.parent)
        write_atomically(path, [archive.getbuffer()])

    @classmethod
    def load(cls, path: Path) -> "PosteriorSet":
        """Reads what `save` wrote.

        Raises:
            DataError: The file is missing or is not such an archive.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                return cls(
                    tuple(map(str, archive["clip_ids"])),
                    tuple(map(str, archive["class_names"])),
                    float(archive["hop_s"]),
                    archive["clip"],
                    archive["frame"],
                    Postprocessing(**json.loads(str(archive["postprocessing"]))),
                )
        except _UNREADABLE as error:
            raise DataError(
                f"{path}: expected posteriors as gcrnn_jax writes them, got {error}"
            ) from error


def fuse(systems: Sequence[PosteriorSet]) -> PosteriorSet:
    """The mean of the systems' posteriors, all with the same weight.

    Systems with coarser frames are brought to the finest frames of the set, each
    frame taking the posterior of the system's frame that its middle lies in. The
    post-processing is that of the first system.

    Raises:
        DataError: The systems are not of the same clips and classes, in the same
            order, or one holds posteriors that are not finite.

    Source: Xu et al., ICASSP 2018, section 3.3; weights are not stated there.
    """
    first = systems[0]
    for number, other in enumerate(systems):
        if other.class_names != first.class_names:
            raise DataError(
                f"system {number + 1} has other classes than the first: "
                f"{other.class_names} and {first.class_names}"
            )
        if difference := first_difference(first.clip_ids, other.clip_ids):
            raise DataError(f"system {number + 1} against the first: {difference}")
        if not (np.isfinite(other.clip).all() and np.isfinite(other.frame).all()):
            raise DataError(f"system {number + 1} holds posteriors that are not finite")
    finest = min(systems, key=lambda system: system.hop_s)
    num_frames = finest.frame.shape[1]
    middles = (np.arange(num_frames) + 0.5) * finest.hop_s
    # one system after the other: two million clips of ten systems do not fit
    clip = np.zeros(first.clip.shape, np.float64)
    frame = np.zeros((len(first.clip_ids), num_frames, len(first.class_names)))
    for system in systems:
        places = np.minimum(middles / system.hop_s, system.frame.shape[1] - 1)
        clip += system.clip
        frame += system.frame[:, places.astype(int)]
    return PosteriorSet(
        first.clip_ids,
        first.class_names,
        finest.hop_s,
        (clip / len(systems)).astype(np.float32),
        (frame / len(systems)).astype(np.float32),
        first.postprocessing,
    )


def first_difference(expected: Sequence[str], found: Sequence[str]) -> str | None:
    """Says where two lists of clips differ; None: they do not."""
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            return f"clip {number + 1} is {other!r}, expected {one!r}"
    if len(expected) != len(found):
        return f"{len(found)} clips, expected {len(expected)}"
    return None


class Predictor:
    """A network compiled once, to predict with the weights of many epochs."""

    def __init__(self, model: Network, scaler: Scaler, mesh: Mesh, batch_size: int):
        """The batch is rounded up to a multiple of the devices."""
        devices = mesh.devices.size
        self.mesh, self.model = mesh, model
        self.batch_size = -(-batch_size // devices) * devices
        predict = functools.partial(_predict, model=model, scaler=scaler)
        self.of_batch = pmapped(predict, mesh, out_axes=AXIS)

    def __call__(
        self,
        variables,
        split: Split,
        hop_s: float,
        postprocessing: Postprocessing,
    ) -> PosteriorSet:
        """Predicts all clips of a split.

        Args:
            variables: {"params": ..., "batch_stats": ...}, on any device or none.
            split: Of a feature store made by the model's front end.
            hop_s: Seconds a frame of the features; merged frames are accounted for.
            postprocessing: To be kept with the posteriors.
        """
        clips, frames = [], []
        for output, count in self._outputs(variables, split):
            clip, frame = to_host(output[:2])  # attention stays on the devices
            clips.append(clip[:count])
            frames.append(frame[:count])
        clip, frame = np.concatenate(clips), np.concatenate(frames)
        return PosteriorSet(
            tuple(split.clip_ids),
            tuple(split.class_names),
            hop_s * self.model.frames_merged,
            clip,
            frame,
            postprocessing,
        )

    def attention(self, variables, split: Split) -> np.ndarray:
        """How much each frame counts for each class, float32 [N, T, K], 0 if padded.

        Args:
            variables: As of a call.
            split: As of a call.
        """
        found = [np.zeros((0, 0, len(split.class_names)), np.float32)]
        for output, count in self._outputs(variables, split):
            found.append(to_host(output[2])[:count])
        return np.concatenate(found[1:] or found)  # none of no clips

    def _outputs(self, variables, split: Split):
        """Posteriors and attention of every batch, and how many of its rows count."""
        rows = self._rows_of_this_process()
        for batch, count in evaluation_batches(split, self.batch_size):
            local = {k: batch[k][rows] for k in ("features", "num_frames")}
            yield self.of_batch(variables, put_batch(local, self.mesh)), count

    def _rows_of_this_process(self) -> slice:
        size = self.batch_size // jax.process_count()
        return slice(jax.process_index() * size, (jax.process_index() + 1) * size)


def _predict(variables, batch, *, model: Network, scaler: Scaler):
    features, frame_mask = standardize(batch["features"], batch["num_frames"], scaler)
    posteriors: Any = model.apply(variables, features, frame_mask)
    # padding holds no sound: what the network says of it counts for nothing
    is_real = posteriors.frame_mask[:, :, None]
    return posteriors.clip, posteriors.frame * is_real, posteriors.attention * is_real
