"""Recordings of any length through one model or several that are fused."""

import dataclasses
import hashlib
import math
import numbers
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import Rejected, resample
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.prediction.model import (
    Recording,
    TrainedModel,
    load_trained,
    tracks_of,
)
from gcrnn_jax.prediction.track import (
    ATTENTION,
    FRAME,
    Found,
    Track,
    find_events,
    find_tags,
    fuse_tracks,
)

_BLOCK_LENGTH = 1 << 18  # samples


class Prediction(NamedTuple):
    """What a recognizer says of one recording.

    Attributes:
        class_names: K.
        hop_s: Seconds a frame; frame n covers [n, n + 1) * hop_s.
        clip: float32 [K], how sure each class is somewhere in the recording.
        frame: float32 [N, K], how sure each class is active in each frame.
        tags: The classes that are in the recording, the surest first.
        events: What is where, by onset.
        attention: float32 [N, K], how much each frame counts for a class being in the
            window around it; None: the models were loaded without.
    """

    class_names: tuple[str, ...]
    hop_s: float
    clip: np.ndarray
    frame: np.ndarray
    tags: list[Found]
    events: list[Found]
    attention: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Recognizer:
    """One trained model, or several whose posteriors are averaged.

    Attributes:
        models: Of the same classes.
        postprocessing: From posteriors to tags and events; that of the first model,
            unless `with_thresholds` made it.
    """

    models: tuple[TrainedModel, ...]
    postprocessing: Postprocessing

    @property
    def class_names(self) -> tuple[str, ...]:
        """The K classes that are told apart."""
        return self.models[0].class_names

    @property
    def digest(self) -> str:
        """Of all that results depend on: weights, front ends, thresholds."""
        parts = [*(model.digest for model in self.models), repr(self.postprocessing)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def with_thresholds(
        self,
        *,
        tag_threshold: float | None = None,
        event_threshold: float | None = None,
    ) -> "Recognizer":
        """The same with another threshold, of all classes; None: as it is.

        Raises:
            ConfigError: A threshold outside [0, 1].
        """
        thresholds = {
            "tag_threshold": tag_threshold,
            "event_threshold": event_threshold,
        }
        given = {name: x for name, x in thresholds.items() if x is not None}
        changed = dataclasses.replace(self.postprocessing, **given)
        return dataclasses.replace(self, postprocessing=changed)

    def tracks(self, recordings: Sequence[Recording]) -> Iterator[Track | Rejected]:
        """The posteriors of recordings, in their order, or why one cannot be used."""
        of_models = [tracks_of(model, recordings) for model in self.models]
        for found in zip(*of_models, strict=True):
            tracks = [one for one in found if isinstance(one, Track)]
            errors = [one for one in found if isinstance(one, Rejected)]
            yield errors[0] if errors else fuse_tracks(tracks)

    def tags(self, track: Track) -> list[Found]:
        """The classes that are in a recording, the surest first."""
        return find_tags(track, self.postprocessing, self.class_names)

    def events(self, track: Track) -> list[Found]:
        """What is where in a recording, by onset."""
        return find_events(track, self.postprocessing, self.class_names)

    def predict(self, waveform: Any, rate_hz: int) -> Prediction:
        """What is in a waveform, and where.

        Args:
            waveform: Of any length, [samples] or [samples, channels], in [-1, 1].
            rate_hz: Samples a second, any.

        Raises:
            DataError: The waveform is too short for one frame, or not finite.
            ValueError: It is not of floating point, has other dimensions or no
                channel, or the rate is no positive number.
        """
        waveform = np.asarray(waveform)
        if waveform.dtype.kind != "f" or waveform.ndim not in (1, 2):
            raise ValueError(
                "waveform must be floats [samples] or [samples, channels], got "
                f"{waveform.dtype} {waveform.shape}"
            )
        if 0 in waveform.shape[1:]:
            raise ValueError(f"waveform has no channel: {waveform.shape}")
        if not isinstance(rate_hz, numbers.Real) or not 0 < rate_hz < math.inf:
            raise ValueError(f"rate_hz must be a positive number, got {rate_hz!r}")
        (track,) = self.tracks([lambda hz: resample(_mono(waveform), rate_hz, hz)])
        if isinstance(track, Rejected):
            raise DataError(str(track))
        values = np.concatenate(list(track.blocks()))
        return Prediction(
            self.class_names,
            track.hop_s,
            track.clip_peak,
            values[:, FRAME],
            self.tags(track),
            self.events(track),
            values[:, ATTENTION] if track.num_parts > ATTENTION else None,
        )


def _mono(waveform: np.ndarray) -> Iterator[np.ndarray]:
    """The mean of the channels in blocks, so that memory holds no other copy of it."""
    for start in range(0, len(waveform), _BLOCK_LENGTH):
        block = waveform[start : start + _BLOCK_LENGTH]
        mono = block if block.ndim == 1 else block.mean(axis=1, dtype=float)
        with np.errstate(over="ignore"):
            mono = mono.astype(np.float32)
        if not np.isfinite(mono).all():
            first = start + int(np.argmin(np.isfinite(mono)))
            raise DataError(f"the waveform is not finite at sample {first}")
        yield mono


def load_recognizer(
    paths: Sequence[Path], batch_size: int, *, with_attention: bool = False
) -> Recognizer:
    """Loads one model, or several to be fused.

    Args:
        paths: As `load_trained` takes each.
        batch_size: Windows to compute at once.
        with_attention: Whether tracks have it, if all the models do.

    Raises:
        ConfigError: There is no path, or batch_size < 1.
        DataError: There is no model at a path, or the models differ in their classes.
    """
    if not paths or batch_size < 1:
        raise ConfigError(
            f"expected models and a batch_size of 1 or more, got {paths}, {batch_size}"
        )
    models = tuple(
        load_trained(path, batch_size, with_attention=with_attention) for path in paths
    )
    for path, model in zip(paths, models, strict=True):
        if model.class_names != models[0].class_names:
            raise DataError(
                f"{path} has other classes than {paths[0]}: "
                f"{model.class_names}, expected {models[0].class_names}"
            )
    return Recognizer(models, models[0].postprocessing)
