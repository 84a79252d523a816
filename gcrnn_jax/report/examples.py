"""Which clips a page shows, and all that is shown of each."""

import base64
import concurrent.futures
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.metrics.evaluator import Row
from gcrnn_jax.report.recordings import Recordings
from gcrnn_jax.report.spectrogram import frequency_ticks, png_of

PER_CLASS = {"false alarm": 3, "miss": 3, "hit": 1}  # cases shown of each kind
MAX_CLIPS = 40

# MP3, because every browser plays it; of those rates it has, the nearest is taken.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_COMPRESSION = 0.7  # about 30 kB for 10 s of 16 kHz


class Case(NamedTuple):
    """One decision on one class of one clip."""

    kind: str  # of PER_CLASS
    clip: int  # its row in the split
    class_index: int
    posterior: float


@dataclass(frozen=True)
class Shown:
    """The cases of a page, and how many there are of each kind in all."""

    cases: list[Case]
    clips: np.ndarray  # int [n], ascending; those of the cases, each once
    num_cases: dict[str, int]

    def part_of(self, split: Split) -> Split:
        """The shown clips as a split."""
        return split.part("shown", self.clips)


def choose_cases(row: Row, split: Split) -> Shown:
    """The worst false alarms and misses of every class, then its surest hits.

    False alarms are worst with the greatest posterior, misses with the least. All
    classes get their worst before one gets its second; `MAX_CLIPS` clips are shown at
    most, so that the page can be sent.
    """
    tags, label = row.decisions.tags, split.weak_label.astype(bool)
    posterior = row.posteriors.clip
    chosen = {
        "false alarm": (tags & ~label, -posterior),
        "miss": (~tags & label, posterior),
        "hit": (tags & label, -posterior),
    }
    ranked: list[tuple[int, int, Case]] = []
    for number, kind in enumerate(PER_CLASS):
        is_one, order = chosen[kind]
        for k in range(label.shape[1]):
            clips = np.flatnonzero(is_one[:, k])
            worst = clips[np.argsort(order[clips, k], kind="stable")][: PER_CLASS[kind]]
            ranked += [
                (place, number, Case(kind, int(n), k, float(posterior[n, k])))
                for place, n in enumerate(worst)
            ]
    shown: dict[int, None] = {}
    cases = []
    for *_, case in sorted(ranked, key=lambda item: item[:2]):
        if case.clip in shown or len(shown) < MAX_CLIPS:
            shown[case.clip] = None
            cases.append(case)
    totals = {kind: int(is_one.sum()) for kind, (is_one, _) in chosen.items()}
    return Shown(cases, np.array(sorted(shown), int), totals)


def examples_content(
    shown: Shown,
    row: Row,
    split: Split,
    *,
    front_end: FrontEnd,
    recordings: Recordings,
    attention: np.ndarray | None,
) -> dict[str, Any]:
    """The cases with the clips they are in, for the page's script.

    Args:
        shown: Of `choose_cases`.
        row: The system.
        split: That the cases are of.
        front_end: Of the split's features.
        recordings: Where the sound comes from.
        attention: [n, T, K] of the shown clips; None: the model is not at hand.
    """
    place = {int(n): i for i, n in enumerate(shown.clips)}
    classes = [_classes_of(n, shown, row, split) for n in place]
    if attention is None:
        attention_of: list[np.ndarray | None] = [None] * len(place)
    else:
        attention_of = list(attention)

    def content(i: int) -> dict[str, Any]:
        clip = int(shown.clips[i])
        return {
            **_sound_content(clip, split, front_end, recordings),
            **_decided_content(clip, row, split, classes[i], attention_of[i]),
        }

    # encoding leaves Python, so that cores share it
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        clips = list(pool.map(content, range(len(place))))
    return {
        "clips": clips,
        "cases": [
            {
                "kind": case.kind,
                "clip": place[case.clip],
                "class": case.class_index,
                "posterior": case.posterior,
            }
            for case in shown.cases
        ],
        "numCases": shown.num_cases,
        "frequencies": frequency_ticks(front_end),
        "hasAttention": attention is not None,
    }


def _classes_of(clip: int, shown: Shown, row: Row, split: Split) -> list[int]:
    """The classes worth a line: in the reference, decided on, or of a case."""
    is_there = split.weak_label[clip].astype(bool) | row.decisions.tags[clip]
    is_there |= row.decisions.roll[clip].any(0)
    of_cases = [case.class_index for case in shown.cases if case.clip == clip]
    return sorted({*np.flatnonzero(is_there).tolist(), *of_cases})


def _sound_content(
    clip: int, split: Split, front_end: FrontEnd, recordings: Recordings
) -> dict[str, Any]:
    num_frames = int(split.num_frames[clip])
    seconds = num_frames * front_end.hop_s
    content: dict[str, Any] = {
        "id": split.clip_ids[clip],
        "pictureSeconds": seconds,
        "seconds": seconds,
        "audio": None,
        "whySilent": "",
        "picture": None,
    }
    waveform = None
    try:
        waveform = recordings(split.clip_ids[clip])
        content["seconds"] = max(seconds, len(waveform) / front_end.sample_rate_hz)
        content["audio"] = _mp3(waveform, front_end.sample_rate_hz)
    except Rejected as rejected:
        content["whySilent"] = str(rejected)
    log_mel = log_mel_of(split, clip, front_end, waveform)
    if log_mel is not None:
        content["picture"] = _data_uri("image/png", png_of(log_mel))
    return content


def log_mel_of(
    split: Split, clip: int, front_end: FrontEnd, waveform: np.ndarray | None
) -> np.ndarray | None:
    """The log-mel spectrogram [T, F] of a clip; None: MFCC, and no waveform either."""
    if front_end.kind == "log_mel":
        features = split.rows([clip])[0].astype(np.float32)
        return features[: int(split.num_frames[clip])]
    if waveform is None:
        return None
    fields = front_end.as_dict() | {"kind": "log_mel"}
    return FrontEnd.from_dict(fields)(waveform)


def _decided_content(
    clip: int,
    row: Row,
    split: Split,
    classes: Sequence[int],
    attention: np.ndarray | None,
) -> dict[str, Any]:
    posteriors, names = row.posteriors, row.posteriors.class_names
    events = decode_events(row.decisions.roll[clip], posteriors.hop_s, names)
    reference = None
    if split.events is not None:
        reference = split.events.get(split.clip_ids[clip], ())

    def listed(events) -> list[list[float]]:
        return [[names.index(label), on, off] for on, off, label in events]

    return {
        "classes": [
            {
                "class": k,
                "posterior": float(posteriors.clip[clip, k]),
                "labelled": bool(split.weak_label[clip, k]),
                "tagged": bool(row.decisions.tags[clip, k]),
                "frames": _bytes(posteriors.frame[clip, :, k]),
                "attention": None
                if attention is None
                else _bytes(_share_of_greatest(attention[:, k])),
            }
            for k in classes
        ],
        "hop": posteriors.hop_s,
        "detected": listed(events),
        "reference": None if reference is None else listed(reference),
    }


def _share_of_greatest(values: np.ndarray) -> np.ndarray:
    return values / max(float(values.max()), 1e-30)


def _bytes(shares: np.ndarray) -> str:
    """Numbers in [0, 1] in steps of 1/255, which a picture cannot tell apart."""
    steps = np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return base64.b64encode(steps.tobytes()).decode("ascii")


def _mp3(waveform: np.ndarray, sample_rate_hz: int) -> str:
    import soundfile
    import soxr

    rate_hz = min(_MP3_RATES_HZ, key=lambda rate: abs(rate - sample_rate_hz))
    if rate_hz != sample_rate_hz:
        waveform = np.asarray(soxr.resample(waveform, sample_rate_hz, rate_hz))
    file = io.BytesIO()
    soundfile.write(
        file,
        np.clip(waveform, -1, 1),
        rate_hz,
        format="MP3",
        compression_level=_MP3_COMPRESSION,
    )
    return _data_uri("audio/mpeg", file.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
