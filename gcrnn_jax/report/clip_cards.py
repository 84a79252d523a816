"""Clips to look at and to listen to: sound, spectrogram, posteriors and events."""

import base64
import concurrent.futures
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.machine import num_cores
from gcrnn_jax.report.charts import Axis, spectrogram_png, step_path
from gcrnn_jax.report.report_data import ReportData

# MP3, because every browser plays it; of those rates it has, the nearest is taken.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_COMPRESSION = 0.7  # about 30 kB for 10 s of 16 kHz


@dataclass(frozen=True)
class ClassPanel:
    """One class in one clip, with paths in frames and percent; "": none is drawn."""

    class_index: int
    name: str
    kind: str  # that the clip is an example of, or ""
    note: str
    posterior: str
    attention: str
    events: dict[str, list[tuple[float, float]]]  # lane -> (place, width) in percent


@dataclass(frozen=True)
class ClipCard:
    """One clip to look at and to listen to; addresses are data URIs or ""."""

    clip_id: str
    seconds: float
    audio: str
    why_silent: str
    spectrogram: str
    spectrogram_width: float  # in percent
    num_frames: float  # of posteriors, in all seconds
    panels: list[ClassPanel]

    @property
    def time(self) -> Axis:
        """The axis of all of its pictures, in seconds."""
        return Axis(0, self.seconds)


def clip_cards(data: ReportData) -> list[ClipCard]:
    """The clips of the examples, the worst first."""
    kinds: dict[int, dict[int, str]] = {}  # row of a clip -> class -> kind of example
    for example in data.selection.examples:
        kinds.setdefault(example.clip, {})[example.class_index] = example.kind
    # encoding leaves Python, so that cores share it
    with concurrent.futures.ThreadPoolExecutor(num_cores()) as pool:
        return list(pool.map(lambda clip: _clip_card(data, clip, kinds[clip]), kinds))


def _clip_card(data: ReportData, clip: int, kinds: dict[int, str]) -> ClipCard:
    front_end, clip_id = data.front_end, data.split.clip_ids[clip]
    features_s = int(data.split.num_frames[clip]) * front_end.hop_s
    seconds, audio, why_silent, waveform = features_s, "", "", None
    try:
        waveform = data.read_clip(clip_id)
        seconds = max(features_s, len(waveform) / front_end.sample_rate_hz)
        audio = _data_uri("audio/mpeg", mp3(waveform, front_end.sample_rate_hz))
    except Rejected as rejected:
        why_silent = str(rejected)
    log_mel = log_mel_of(data.split, clip, front_end, waveform)
    num_drawn = 0 if log_mel is None else len(log_mel)
    picture_s = num_drawn * front_end.hop_length / front_end.sample_rate_hz
    return ClipCard(
        clip_id,
        seconds,
        audio,
        why_silent,
        "" if log_mel is None else _data_uri("image/png", spectrogram_png(log_mel)),
        round(100 * picture_s / seconds, 2),
        seconds / data.main_row.posteriors.hop_s,
        _class_panels(data, clip, kinds, seconds),
    )


def log_mel_of(
    split: Split, clip: int, front_end: FrontEnd, waveform: np.ndarray | None
) -> np.ndarray | None:
    """The log-mel spectrogram [T, M] of a clip; None: lost, and no waveform either."""
    features = split.rows([clip])[0].astype(np.float32)
    log_mel = front_end.log_mel_from_features(features[: int(split.num_frames[clip])])
    if log_mel is None and waveform is not None:
        return front_end.log_mel(waveform[: front_end.clip_length])
    return log_mel


def _class_panels(
    data: ReportData, clip: int, kinds: dict[int, str], seconds: float
) -> list[ClassPanel]:
    """Examples first, then the classes of the reference and those decided on."""
    decisions, posteriors = data.main_row.decisions, data.main_row.posteriors
    tags, roll = decisions.tags[clip], decisions.roll[clip]
    labelled = data.split.weak_label[clip].astype(bool)
    decided = np.flatnonzero(labelled | tags | roll.any(0)).tolist()
    detected = decode_events(roll, posteriors.hop_s, posteriors.class_names)
    reference = (data.split.events or {}).get(data.split.clip_ids[clip], ())
    num_frames = int(np.ceil(round(seconds / posteriors.hop_s, 6)))
    weights = np.zeros((0, len(tags)))  # draws nothing
    if data.attention is not None:
        place = np.searchsorted(data.selection.clips, clip)
        weights = data.attention[place, :num_frames]
        weights = weights / np.maximum(weights.max(0), 1e-30)

    def panel(k: int) -> ClassPanel:
        name = posteriors.class_names[k]
        facts = {f"posterior {posteriors.clip[clip, k]:.3f}": True}
        facts |= {"tagged": tags[k], "in the reference": labelled[k]}
        lanes = {"reference": reference, "detected": detected}
        return ClassPanel(
            k,
            name,
            kinds.get(k, ""),
            ", ".join(fact for fact, is_so in facts.items() if is_so),
            step_path(posteriors.frame[clip, :num_frames, k]),
            step_path(weights[:, k]),
            {lane: _spans(events, name, seconds) for lane, events in lanes.items()},
        )

    return [panel(k) for k in dict.fromkeys([*kinds, *decided])]


def _spans(
    events: Iterable[tuple[float, float, str]], name: str, seconds: float
) -> list[tuple[float, float]]:
    """(place, width) of a class's events, in percent of a clip."""
    share = 100 / seconds
    return [
        (round(share * onset, 2), round(share * (min(offset, seconds) - onset), 2))
        for onset, offset, label in events
        if label == name and onset < seconds
    ]


def mp3(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    """A waveform [S] as an MP3 file, at the nearest rate that MP3 has."""
    import soundfile
    import soxr

    rate_hz = min(_MP3_RATES_HZ, key=lambda rate: abs(rate - sample_rate_hz))
    if rate_hz != sample_rate_hz:
        waveform = np.asarray(soxr.resample(waveform, sample_rate_hz, rate_hz))
    file = io.BytesIO()
    kind = {"format": "MP3", "compression_level": _MP3_COMPRESSION}
    soundfile.write(file, np.clip(waveform, -1, 1), rate_hz, **kind)
    return file.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
