"""The README in the folder of an exported model: its use without gcrnn_jax."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd

_HEAD = """\
# {network}, {num_classes} classes

Exported by `python -m gcrnn_jax.export`; `card.json` has the class names, the front
end, the thresholds and how far each program is from the model in JAX.

Outputs: `clip` [batch, {num_classes}], the posterior that a class is somewhere in the
clip, and `frame` [batch, frames_out, {num_classes}], one row every
{frame_hop_s:g} s. Every frame of the input counts as real: clips of
different lengths go in separately, not padded. A class is a tag of the clip where
`clip` is greater than `tag_threshold` under `postprocessing` in the card, and active in
a frame where `frame` is greater than `event_threshold`.
"""

_FEATURES = """
## From a waveform to features

Needs `pip install {packages}`; recordings at other rates are resampled first.

```python
import numpy as np
{imports}front_end = np.load("front_end.npz")

def features_of(waveform):  # mono at {rate} Hz, floats in [-1, 1]
    waveform, size = np.asarray(waveform, np.float64), {size}
{centered}    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::{hop}]
    magnitude = np.abs(np.fft.rfft(frames * front_end["window"])){power}
    mel = np.log(magnitude @ front_end["filter_bank"] + {floor})
    return {result}
```
"""
_CENTERED = (
    '    waveform = np.pad(waveform, (size // 2, size - size // 2), mode="reflect")\n'
)
_MFCC = """\
mfcc(mel.astype(np.float32).astype(float)).astype(np.float32)

def mfcc(mel):
    cepstrum = dct(mel, axis=1, norm="ortho")[:, :{num_coefficients}]
    fits = [savgol_filter(cepstrum, {delta_width}, n, deriv=n, axis=0) for n in (1, 2)]
    return np.concatenate([cepstrum, *fits], axis=1)\
"""
_SCIPY = "from scipy.fft import dct\nfrom scipy.signal import savgol_filter\n"

# Packages to install, imports and the result, of each kind of front end.
_RESULTS = {
    "log_mel": ("numpy", "", "mel.astype(np.float32)"),
    "mfcc": ("numpy scipy", _SCIPY, _MFCC),
}

_STABLEHLO = """
## {program}

Batch and {axis} are free, at least {least} {axis}. Needs `pip install jax flatbuffers`.

```python
import json, numpy as np
from jax import export
card = json.load(open("card.json"))
program = export.deserialize(open("{program}", "rb").read())
clip, frame = program.call(np.zeros({shape}, np.float32))
print(dict(zip(card["classes"]["names"], np.asarray(clip)[0].tolist())))
```
"""

_ONNX = """
## {program}

Batch and {axis} are free, at least {least} {axis}: fewer are not refused, and what
comes out means nothing. Needs `pip install onnxruntime`.

```python
import json, numpy as np, onnxruntime
card = json.load(open("card.json"))
session = onnxruntime.InferenceSession("{program}")
features = np.zeros({shape}, np.float32)
clip, frame = session.run(["clip", "frame"], {{"features": features}})
print(dict(zip(card["classes"]["names"], clip[0].tolist())))
```
"""

_INPUT = {
    "features": "\nInput: `features`, {kind} as below, not scaled.\n",
    "waveform": "\nInput: `waveform`, mono at {rate} Hz, in [-1, 1]. Nothing is cut.\n",
}


def readme(card: Mapping[str, Any]) -> str:
    """The text for the card of an exported folder."""
    exported, front_end = card["exported"], card["front_end"]
    text = _HEAD.format(
        network=card["config"]["model"]["network"],
        num_classes=len(card["classes"]["names"]),
        frame_hop_s=exported["frame_hop_s"],
    )
    for program, entry in exported["programs"].items():
        ((name, (_, axis, *bins)),) = entry["inputs"].items()
        least = exported["min_frames" if axis == "frames" else "min_samples"]
        size = front_end["sample_rate_hz"] * 10 if axis == "samples" else 240
        template = _ONNX if program.endswith(".onnx") else _STABLEHLO
        text += template.format(
            program=program, axis=axis, least=least, shape=(1, max(size, least), *bins)
        )
        kind = front_end["kind"].replace("_", "-")
        text += _INPUT[name].format(kind=kind, rate=front_end["sample_rate_hz"])
    return text + _features(FrontEnd.from_dict(front_end))


def front_end_archive(front_end: FrontEnd) -> memoryview:
    """The NumPy archive front_end.npz, which the front end in the README reads."""
    archive, window = io.BytesIO(), front_end.scaled_window
    np.savez(archive, window=window, filter_bank=front_end.filter_bank())
    return archive.getbuffer()


def _features(front_end: FrontEnd) -> str:
    """The front end as a few lines of NumPy."""
    packages, imports, result = _RESULTS[front_end.kind]
    return _FEATURES.format(
        packages=packages,
        imports=imports,
        rate=front_end.sample_rate_hz,
        size=front_end.frame_length,
        hop=front_end.hop_length,
        centered=_CENTERED if front_end.centered else "",
        power="" if front_end.power == 1 else f" ** {front_end.power:g}",
        floor=front_end.floor,
        result=result.format(**front_end.as_dict()),
    )
