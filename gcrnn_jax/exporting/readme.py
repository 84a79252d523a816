"""The README in the folder of an exported model: its use without gcrnn_jax."""

import inspect
from collections.abc import Mapping
from typing import Any

from gcrnn_jax.exporting.waveform import compute_features

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

_PROGRAM = """
## {program}

Batch and {axis} are free, at least {least} {axis}{limit}.
Needs `pip install {packages}`.

Input: {input}.

```python
import json, numpy as np
{code}
card = json.load(open("card.json"))
print(dict(zip(card["classes"]["names"], np.asarray(clip)[0].tolist())))
```
"""
_INPUT = {
    "features": "`features`, {kind} as below, not scaled",
    "waveform": "`waveform`, mono at {rate} Hz, in [-1, 1]; nothing is cut",
}
_STABLEHLO = """\
from jax import export
program = export.deserialize(open("{program}", "rb").read())
clip, frame = program.call(np.zeros({shape}, np.float32))"""
_ONNX = """\
from onnxruntime import InferenceSession
features = {{"features": np.zeros({shape}, np.float32)}}
clip, frame = InferenceSession("{program}").run(["clip", "frame"], features)"""

_FEATURES = """
## From a waveform to features

`compute_features(waveform, front_end)` is the {kind} of a waveform, mono at {rate} Hz;
recordings at other rates are resampled first. Needs `pip install numpy`.

```python
import numpy as np
front_end = np.load("front_end.npz")

{source}```
"""


def readme(card: Mapping[str, Any]) -> str:
    """The text for the card of an exported folder."""
    exported, front_end = card["exported"], card["front_end"]
    network, num_classes = (
        card["config"]["model"]["kind"],
        len(card["classes"]["names"]),
    )
    rate, kind = front_end["sample_rate_hz"], front_end["kind"].replace("_", "-")
    text = _HEAD.format(network=network, num_classes=num_classes, **exported)
    for program, entry in exported["programs"].items():
        is_onnx = program.endswith(".onnx")
        ((name, (_, axis, *bins)),) = entry["inputs"].items()
        least = exported[f"min_{axis}"]
        shape = (1, max(rate * 10 if axis == "samples" else 240, least), *bins)
        text += _PROGRAM.format(
            program=program,
            axis=axis,
            least=least,
            limit=" (fewer are not refused, and give no meaningful posteriors)"
            if is_onnx
            else "",
            packages="onnxruntime" if is_onnx else "jax flatbuffers",
            input=_INPUT[name].format(kind=kind, rate=rate),
            code=(_ONNX if is_onnx else _STABLEHLO).format(
                program=program, shape=shape
            ),
        )
    source = inspect.getsource(compute_features)
    return text + _FEATURES.format(source=source, kind=kind, rate=rate)
