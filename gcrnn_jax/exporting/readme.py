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

_FEATURES = """
## From a waveform to features

Of a waveform, mono at {rate} Hz, `compute_features(waveform, front_end)` is the
{kind}. Recordings at other rates are resampled first. Needs `pip install numpy`.

```python
import numpy as np
front_end = np.load("front_end.npz")

{source}```
"""


def readme(card: Mapping[str, Any]) -> str:
    """The text for the card of an exported folder."""
    exported, front_end = card["exported"], card["front_end"]
    text = _HEAD.format(
        network=card["config"]["model"]["network"],
        num_classes=len(card["classes"]["names"]),
        frame_hop_s=exported["frame_hop_s"],
    )
    words = {
        "kind": front_end["kind"].replace("_", "-"),
        "rate": front_end["sample_rate_hz"],
    }
    for program, entry in exported["programs"].items():
        ((name, (_, axis, *bins)),) = entry["inputs"].items()
        least = exported["min_frames" if axis == "frames" else "min_samples"]
        size = front_end["sample_rate_hz"] * 10 if axis == "samples" else 240
        template = _ONNX if program.endswith(".onnx") else _STABLEHLO
        text += template.format(
            program=program, axis=axis, least=least, shape=(1, max(size, least), *bins)
        )
        text += _INPUT[name].format(**words)
    return text + _FEATURES.format(source=inspect.getsource(compute_features), **words)
