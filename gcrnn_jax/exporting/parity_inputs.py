"""What exported programs are compared on: noise and recordings, at three lengths."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.recording_source import RecordingSource
from gcrnn_jax.data.soundscape_source import SoundscapeSource
from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting.exportable import Exportable

NUM_CLIPS = 3  # that real input is made of

_TRIED = 30  # recordings of a split, until so many could be read


class Case(NamedTuple):
    """One input, of one shape."""

    kind: str  # "random" or "real"
    waveform: np.ndarray  # float32 [B, S]
    features: np.ndarray  # float32 [B, T, F], unscaled


class Clips(NamedTuple):
    """Waveforms to make real input of."""

    origin: str  # where they come from, for people
    waveforms: list[np.ndarray]  # float32 [S] each


def real_clips(model: Exportable) -> Clips:
    """A few recordings of the model's data, or soundscapes where they are not there."""
    root = model.card["config"]["data"]["root"]
    front_end = model.front_end
    if root and Path(root).is_dir():
        waveforms = _recordings(Path(root), front_end)
        if waveforms:
            return Clips(f"{len(waveforms)} recordings of the model's data", waveforms)
    source = SoundscapeSource(
        "testing",
        seed=0,
        size=NUM_CLIPS,
        balanced=True,
        has_events=False,
        sample_rate_hz=front_end.sample_rate_hz,
    )
    waveforms = [source.load(index).waveform for index in range(NUM_CLIPS)]
    return Clips(f"{NUM_CLIPS} built-in soundscapes", waveforms)


def _recordings(root: Path, front_end: FrontEnd) -> list[np.ndarray]:
    """The first recordings of a split that can be read, those scored before others."""
    try:
        dataset = find_splits(root)
    except DataError:  # what was there when the model was trained is gone
        return []
    waveforms = []
    for split in reversed(dataset.splits.values()):
        source = RecordingSource(dataset, split, front_end, None)
        for index in range(min(len(source), _TRIED)):
            try:
                waveforms.append(source.load(index).waveform)
            except Rejected:
                continue
            if len(waveforms) == NUM_CLIPS:
                return waveforms
    return waveforms


def make_cases(model: Exportable, clips: Clips, seed: int = 0) -> list[Case]:
    """Random and real input of half a clip, a whole clip and one and a half.

    Random features are of the scaler's mean and deviation; the random waveforms are
    white noise. Real input is clips one after the other, of odd lengths that leave
    frames and samples over.
    """
    rng, cases = np.random.default_rng(seed), []
    whole = model.front_end.num_frames
    shorter = max(whole // 2 - 1, model.min_input_frames)
    for batch, num_frames in ((1, shorter), (3, whole), (1, whole + whole // 2 + 1)):
        size = model.samples_of(num_frames) + model.front_end.hop_length // 3
        size = max(size, model.min_samples)
        noise = 0.1 * rng.standard_normal((batch, size)).astype(np.float32)
        shape = (batch, num_frames, model.front_end.num_bins)
        features = model.scaler.mean + model.scaler.std * rng.standard_normal(shape)
        cases.append(Case("random", noise, features.astype(np.float32)))
        rows = [_endless(clips.waveforms, row, size) for row in range(batch)]
        waveform = np.stack(rows)
        cases.append(Case("real", waveform, numpy_features(model, waveform)))
    return cases


def numpy_features(model: Exportable, waveform: np.ndarray) -> np.ndarray:
    """Features [B, T, F] of whole waveforms [B, S] by the front end of training."""
    needed_s = waveform.shape[1] / model.front_end.sample_rate_hz + 1
    uncut = dataclasses.replace(model.front_end, clip_s=needed_s)
    return np.stack([uncut(row) for row in waveform])


def _endless(waveforms: Sequence[np.ndarray], first: int, size: int) -> np.ndarray:
    """The first samples of clips one after the other, over and over again."""
    first %= len(waveforms)
    joined = np.concatenate([*waveforms[first:], *waveforms[:first]])
    return np.resize(joined, size)  # repeats
