"""Training clips played faster and slower, as further clips of their split."""

import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import soxr

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.clip_ids import copy_id, speed_text
from gcrnn_jax.data.split import EventTuple
from gcrnn_jax.data.store_shards import Loaded, Source
from gcrnn_jax.errors import DataError


@dataclasses.dataclass
class SpeedCopies:
    """Clips of a source, and behind them, at each speed, a copy of every one.

    A copy is the recording resampled: at speed 1.25 a fifth shorter, and everything in
    it 1.25 times as high, as a smaller animal, a faster engine or another player would
    have it. Of a copy longer than `clip_s` a random part is used, so a sound may be
    missing of which only a weak label is known.

    See `gcrnn_jax.data.store_shards.Source`.

    Attributes:
        source: Of the clips as they are; in a share, of some of them.
        speeds: Of the copies, none of them 1.
        clip_s: The longest that a clip is.
        sample_rate_hz: Of the waveforms.
        class_names: Of the weak labels.
        num_clips: Of the source, all of them.
        clip_ids: Of the clips and, with "@" and their speed, of the copies.
    """

    source: Source
    speeds: tuple[float, ...]
    clip_s: float
    sample_rate_hz: int
    class_names: tuple[str, ...]
    num_clips: int
    clip_ids: Sequence[str] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        ids = self.source.clip_ids
        copies = [copy_id(one, speed) for speed in self.speeds for one in ids]
        self.clip_ids = [*ids, *copies]
        if taken := {*ids}.intersection(copies):
            raise DataError(
                f"{min(taken)}: the name of a clip is that of another's copy at a "
                "speed of data.speeds: rename its recording or leave out this speed"
            )

    @classmethod
    def from_share(
        cls, source: Source, front_end: FrontEnd, share: Mapping[str, Any]
    ) -> "SpeedCopies":
        """What `share` has described, of the source that it had described."""
        return cls(
            source,
            tuple(share["speeds"]),
            front_end.clip_s,
            front_end.sample_rate_hz,
            tuple(share["class_names"]),
            share["num_clips"],
        )

    def share(self, clips: Iterable[int]) -> dict[str, Any]:
        """Returns some clips as JSON, with that of the source as "copied"."""
        return {
            "speeds": self.speeds,
            "class_names": self.class_names,
            "num_clips": self.num_clips,
            "copied": self.source.share(sorted({i % self.num_clips for i in clips})),
        }

    @property
    def has_events(self) -> bool:
        """Whether clips of the source have strong labels."""
        return self.source.has_events

    @property
    def num_copies(self) -> int:
        """One at each speed."""
        return len(self.speeds)

    def __len__(self) -> int:
        return self.num_clips * (1 + len(self.speeds))

    def cache_key(self, index: int) -> str:
        """Returns what a clip's rows in the store depend on."""
        original, speed = self._find(index)
        key = self.source.cache_key(original)
        return key if speed == 1 else repr((key, speed))

    def missing(self) -> Sequence[int]:
        """Returns the clips without a recording; their copies go without saying."""
        return self.source.missing()

    def location(self, index: int) -> tuple[str, int]:
        """Returns the path and line of the original."""
        return self.source.location(self._find(index)[0])

    def content_hash(self, index: int) -> str:
        """Returns that of the original: data with copies of it are the same data."""
        return self.source.content_hash(self._find(index)[0])

    def load(self, index: int) -> Loaded:
        """Returns a clip, or the copy of one; what is odd is said of the clip alone."""
        original, speed = self._find(index)
        loaded = self.source.load(original)
        if speed == 1:
            return loaded
        rate_hz = self.sample_rate_hz
        waveform = np.asarray(soxr.resample(loaded.waveform, rate_hz * speed, rate_hz))
        longest = round(self.clip_s * rate_hz)
        seed = zlib.crc32(f"{self.location(index)[0]} {speed_text(speed)}".encode())
        most = max(0, len(waveform) - longest)
        start = int(np.random.default_rng(seed).integers(most + 1))
        waveform = waveform[start : start + longest]
        if loaded.events is None:
            return Loaded(waveform, loaded.weak_label, None)
        length_s = len(waveform) / rate_hz
        events = _moved(loaded.events, speed, start / rate_hz, length_s)
        return Loaded(waveform, self._weak_label(events, loaded), events)

    def _find(self, index: int) -> tuple[int, float]:
        copy, original = divmod(index, self.num_clips)
        return original, (1.0, *self.speeds)[copy]

    def _weak_label(self, events, loaded: Loaded) -> np.ndarray | None:
        """Of the classes whose sounds are in the part that is used."""
        if loaded.weak_label is None:
            return None
        weak_label = np.zeros_like(loaded.weak_label)
        for _, _, name in events:
            weak_label[self.class_names.index(name)] = True
        return weak_label


def _moved(
    events: Iterable[EventTuple], speed: float, start_s: float, length_s: float
) -> list[EventTuple]:
    """Events of a clip, as they are in a part of it that is played at a speed."""
    moved = []
    for event in events:
        onset, offset = (time / speed - start_s for time in event[:2])
        if offset > 0 and onset < length_s:
            moved.append((max(onset, 0.0), min(offset, length_s), event[2]))
    return moved
