"""The built-in soundscapes, as build_store reads them."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import soxr

from gcrnn_jax.audio.signals import SAMPLE_RATE_HZ
from gcrnn_jax.audio.soundscapes import VERSION, soundscape
from gcrnn_jax.data.data_hash import clip_content_hash
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.store_shards import Loaded


@dataclasses.dataclass
class SoundscapeSource:
    """Clips 0 to size - 1 of a seed; see `gcrnn_jax.data.store_shards.Source`."""

    name: str  # of the split; splits of one seed have different clips
    seed: int
    size: int
    _: dataclasses.KW_ONLY
    balanced: bool  # all classes are as frequent; or else as in the task
    has_events: bool  # keeps when each sound is
    sample_rate_hz: int = SAMPLE_RATE_HZ  # other than the generator's: is resampled to
    num_copies = 0  # of no type: it is no field

    @property
    def clip_ids(self) -> Sequence[str]:
        """Names of the clips."""
        return self._clip_ids

    @functools.cached_property
    def _clip_ids(self) -> list[str]:
        return [f"{self.name}_{index:06}" for index in range(self.size)]

    def __len__(self) -> int:
        return self.size

    def share(self, clips: Iterable[int]) -> dict[str, Any]:
        """Returns what makes a source with these clips, and all others."""
        return dataclasses.asdict(self)

    def cache_key(self, index: int) -> str:
        """Returns what the clip depends on."""
        return repr((self.seed, index, self.balanced, self.sample_rate_hz, VERSION))

    def missing(self) -> tuple[int, ...]:
        """Returns none: they are generated."""
        return ()

    def location(self, index: int) -> tuple[str, int]:
        """Returns a name for messages."""
        return f"soundscapes/{self.clip_ids[index]}", index

    def content_hash(self, index: int) -> str:
        """Returns the clip's hash: of all that it, its labels and events depend on."""
        inputs = self.seed, index, self.balanced, self.has_events, VERSION
        return clip_content_hash(self.clip_ids[index], (), None, repr(inputs))

    def load(self, index: int) -> Loaded:
        """Generates a clip."""
        waveform, placed = soundscape(self.seed, index, balanced=self.balanced)
        weak_label = np.zeros(len(DCASE2017_CLASSES), bool)
        for event in placed:
            weak_label[DCASE2017_CLASSES.index_by_name[event.class_name]] = True
        if self.sample_rate_hz != SAMPLE_RATE_HZ:
            waveform = soxr.resample(waveform, SAMPLE_RATE_HZ, self.sample_rate_hz)
        events = [event[:3] for event in placed] if self.has_events else None
        return Loaded(np.asarray(waveform), weak_label, events)


def soundscape_split(
    name: str, seed: int, size: int, sample_rate_hz: int
) -> SoundscapeSource:
    """The built-in clips of one split, which `prepare_soundscapes` describes.

    Args:
        name: One of `gcrnn_jax.data.dataset.SPLITS`.
        seed: Of the data set; no two splits of any seeds share a clip.
        size: How many clips.
        sample_rate_hz: Of their waveforms.
    """
    return SoundscapeSource(
        name,
        seed=len(SPLITS) * seed + SPLITS.index(name),
        size=size,
        balanced=name != "training",
        has_events=name != "training",
        sample_rate_hz=sample_rate_hz,
    )
