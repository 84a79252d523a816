"""The built-in soundscapes, as build_store reads them."""

import functools
import hashlib
from pathlib import Path

import numpy as np

from gcrnn_jax.data.data_hash import clip_content_hash
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.store_shards import Loaded


class SoundscapeSource:
    """Clips 0 to size - 1 of a seed; see `gcrnn_jax.data.store_shards.Source`.

    Args:
        name: Of the split; splits of one seed have different clips.
        seed: Of the soundscapes.
        size: How many clips.
        balanced: Whether all classes are as frequent. False: as in the task.
        has_events: Whether to keep when each sound is.
        sample_rate_hz: Other than the generator's 16000, clips are resampled.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        size: int,
        *,
        balanced: bool,
        has_events: bool,
        sample_rate_hz: int = 16000,
    ):
        self.name = name
        self.seed = seed
        self.balanced = balanced
        self.has_events = has_events
        self.sample_rate_hz = sample_rate_hz
        self.clip_ids = [f"{name}_{index:06}" for index in range(size)]

    def __len__(self) -> int:
        return len(self.clip_ids)

    def cache_key(self, index: int) -> str:
        """Returns what the clip depends on, the code that makes it included."""
        known = (self.seed, index, self.balanced, self.sample_rate_hz)
        return repr((*known, _generator_digest()))

    def location(self, index: int) -> tuple[str, int]:
        """Returns a name for messages."""
        return f"soundscapes/{self.clip_ids[index]}", index

    def content_hash(self, index: int) -> str:
        """Returns the clip's hash: of all that it, its labels and events depend on."""
        known = (self.seed, index, self.balanced, self.has_events)
        made_by = repr((*known, _generator_digest()))
        return clip_content_hash(self.clip_ids[index], (), None, made_by)

    def load(self, index: int) -> Loaded:
        """Generates a clip."""
        from gcrnn_jax.audio.soundscapes import soundscape

        clip = soundscape(self.seed, index, balanced=self.balanced)
        weak_label = np.zeros(len(DCASE2017_CLASSES), bool)
        for _, _, class_name, *_ in clip.events:
            weak_label[DCASE2017_CLASSES.index_by_name[class_name]] = True
        waveform = clip.waveform
        if self.sample_rate_hz != 16000:
            import soxr

            waveform = np.asarray(soxr.resample(waveform, 16000, self.sample_rate_hz))
        if not self.has_events:
            return Loaded(waveform, weak_label, None)
        events = [(onset, offset, name) for onset, offset, name, *_ in clip.events]
        return Loaded(waveform, weak_label, events)


# What a clip is made by: a change of any makes other clips.
_GENERATOR = ("soundscapes", "synthesizers", "vehicles", "distractors", "signals")


@functools.cache
def _generator_digest() -> str:
    """Returns a digest of the generator's code: other code makes other sounds."""
    from gcrnn_jax.audio import soundscapes

    digest = hashlib.sha256()
    for name in _GENERATOR:
        digest.update(Path(soundscapes.__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()
