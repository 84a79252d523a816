"""One trained model, or several whose posteriors are averaged, for waveforms."""

import dataclasses
import hashlib
import math
import numbers
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from gcrnn_jax.audio.decode import resample
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.lists.event_tables import ScoredEvent
from gcrnn_jax.detection.calibration import with_probability
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.prediction.posteriors import (
    ATTENTION,
    CLIP,
    FRAME,
    RecordingPosteriors,
    fuse_recording,
)
from gcrnn_jax.prediction.stream import OpenWaveform, stream_posteriors

if TYPE_CHECKING:  # which bring JAX
    from gcrnn_jax.exporting.exported_model import ExportedModel
    from gcrnn_jax.inference.model import TrainedModel

_BLOCK_LENGTH = 1 << 18  # samples
_BYTES_AT_ONCE = 4_000_000  # of the classes that are decoded together


class Prediction(NamedTuple):
    """Prediction for one recording.

    Attributes:
        class_names: K.
        hop_s: Seconds a frame; frame n covers [n, n + 1) * hop_s.
        clip: float32 [K], posteriors that the classes are somewhere in the recording.
        frame: float32 [N, K], posteriors that the classes are active in each frame.
        tags: The classes that are in the recording, by falling score.
        events: By onset.
        attention: float32 [N, K], weight of each frame in the window around it; None:
            the models were loaded without.
    """

    class_names: tuple[str, ...]
    hop_s: float
    clip: np.ndarray
    frame: np.ndarray
    tags: list[ScoredEvent]
    events: list[ScoredEvent]
    attention: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """One trained model, or several whose posteriors are averaged.

    Attributes:
        models: Of the same classes.
        postprocessing: From posteriors to tags and events; that of the first model,
            but for `at_least_one_tag`, unless `with_thresholds` made it.
        with_attention: Whether posteriors have attention, if all the models give it.
    """

    models: "tuple[TrainedModel | ExportedModel, ...]"
    postprocessing: Postprocessing
    with_attention: bool = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.models[0].class_names

    @property
    def content_hash(self) -> str:
        """Of all that results depend on: weights, front ends, thresholds."""
        hashes = [model.content_hash for model in self.models]
        content = "\n".join([*hashes, repr(self.postprocessing)])
        return hashlib.sha256(content.encode()).hexdigest()

    def with_thresholds(
        self,
        *,
        tag_threshold: float | None = None,
        event_threshold: float | None = None,
    ) -> Self:
        """The same with another threshold for all classes; None: unchanged.

        Raises:
            ConfigError: A threshold outside [0, 1].
        """
        values = {"tag_threshold": tag_threshold, "event_threshold": event_threshold}
        changes = {name: value for name, value in values.items() if value is not None}
        try:
            changed = dataclasses.replace(self.postprocessing, **changes)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return dataclasses.replace(self, postprocessing=changed)

    def posteriors(
        self, recordings: Sequence[OpenWaveform], folder: Path | None = None
    ) -> Iterator[RecordingPosteriors | Rejected]:
        """Posteriors of recordings, in their order, or why one cannot be read.

        They are kept in files without a name in `folder`; None: where temporary files
        are.
        """
        streams = [
            stream_posteriors(
                model, recordings, with_attention=self.with_attention, folder=folder
            )
            for model in self.models
        ]
        for outcomes in zip(*streams, strict=True):
            systems = [x for x in outcomes if isinstance(x, RecordingPosteriors)]
            errors = [x for x in outcomes if isinstance(x, Rejected)]
            yield errors[0] if errors else fuse_recording(systems)

    def tags(self, posteriors: RecordingPosteriors) -> list[ScoredEvent]:
        """The classes that are tags of any window of a recording, by falling score.

        A tag lasts as long as the recording.
        """
        peak, names = posteriors.peak[CLIP], posteriors.class_names
        is_tag = np.zeros(len(names), bool)
        for block in posteriors.blocks():
            is_tag |= self.postprocessing.tags(block[:, CLIP]).any(0)
        return [
            ScoredEvent(0.0, posteriors.duration_s, names[k], float(peak[k]))
            for k in np.argsort(-peak, kind="stable")
            if is_tag[k]
        ]

    def events(self, posteriors: RecordingPosteriors) -> list[ScoredEvent]:
        """The events of a recording, by onset, then by class.

        An event needs the tag of the windows around it, not of the whole recording. A
        few classes at a time are decoded: memory grows by a megabyte an hour and class.
        """
        threshold = self.postprocessing.event_threshold
        (active,) = np.nonzero(posteriors.peak[FRAME] > threshold)
        at_once = max(1, _BYTES_AT_ONCE // (5 * max(1, posteriors.num_frames)))
        events = []
        for start in range(0, len(active), at_once):
            classes = active[start : start + at_once]
            events += _decode_classes(posteriors, self.postprocessing, classes)
        order = {name: k for k, name in enumerate(posteriors.class_names)}
        return sorted(events, key=lambda one: (one.onset, order[one.event_label]))

    def with_probability(
        self, found: Sequence[ScoredEvent], part: int
    ) -> list[tuple[Any, ...]]:
        """Tags (part CLIP) or events (FRAME), each with the probability of its score.

        That a window, or a frame, of this posterior has the class. None: the model's
        card does not say, or the posteriors are the mean of several models.
        """
        fitted = self.models[0].probabilities if len(self.models) == 1 else None
        calibrator = fitted and (fitted.clip if part == CLIP else fitted.frame)
        return with_probability(found, calibrator, self.class_names)

    def predict(self, waveform: Any, rate_hz: int) -> Prediction:
        """Tags, events and posteriors of a waveform.

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
        (outcome,) = self.posteriors(
            [lambda hz: resample(_mono(waveform), rate_hz, hz)]
        )
        if isinstance(outcome, Rejected):
            raise DataError(str(outcome))
        values = np.concatenate(list(outcome.blocks()))
        return Prediction(
            self.class_names,
            outcome.hop_s,
            outcome.peak[CLIP].astype(np.float32),
            values[:, FRAME],
            self.tags(outcome),
            self.events(outcome),
            values[:, ATTENTION] if outcome.num_parts > ATTENTION else None,
        )


def _decode_classes(
    posteriors: RecordingPosteriors, postprocessing: Postprocessing, classes: np.ndarray
) -> Iterator[ScoredEvent]:
    names = [posteriors.class_names[k] for k in classes]
    hop_s, first = posteriors.hop_s, 0
    frame = np.empty((posteriors.num_frames, len(names)), np.float32)
    is_tagged = np.empty(frame.shape, bool)
    for block in posteriors.blocks():
        end = first + len(block)
        frame[first:end] = block[:, FRAME, classes]
        is_tagged[first:end] = postprocessing.tags(block[:, CLIP])[:, classes]
        first = end
    part = postprocessing.select_classes(classes, len(posteriors.class_names))
    roll = part.detect_tagged(frame, is_tagged, hop_s)
    for event in decode_events(roll, hop_s, names, posteriors.duration_s):
        onset = round(event.onset / hop_s)  # times are whole frames
        offset = max(onset + 1, round(event.offset / hop_s))  # but at the end
        column = frame[onset:offset, names.index(event.event_label)]
        yield ScoredEvent(*event, float(column.max()))


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
