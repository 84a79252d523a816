"""What an ONNX model takes and gives, found by running it on silence."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import LogMel
from gcrnn_jax.audio.onnx_model import (
    OnnxModel,
    arranged,
    find_output,
    fitting_layouts,
    open_model,
    read_model,
)
from gcrnn_jax.errors import ConfigError, DataError


def inspect_model(
    path: str, output: str, mean_over_s: float, sound: LogMel
) -> dict[str, Any]:
    """What a model takes and gives, found by running it on silence.

    Args:
        path: Of its file.
        output: Name of its output; "": the only one.
        mean_over_s: Frames finer than that are averaged, a whole number of them.
        sound: Of the clips, and of log-mel frames where it takes such.

    Returns:
        The other fields of an `OnnxFrontEnd`.

    Raises:
        ConfigError: It takes or gives what no front end does, or a package is missing.
        DataError: It cannot be read, or fails.
    """
    sha256 = hashlib.sha256(read_model(path)).hexdigest()
    model = open_model(path, sha256)
    output, failures = find_output(model, output), []
    for layout, length in fitting_layouts(model, sound.num_mels):
        facts = {"input": layout, "fixed_length": length}
        try:
            facts |= _probe(model, output, facts, sound)
        except DataError as error:
            failures.append(error)
            continue
        hop_s = facts["frame_hop"] / sound.sample_rate_hz
        merged = max(1, round(mean_over_s / hop_s))
        facts |= {"merged_frames": min(merged, facts["frames_per_clip"])}
        return {"output": output, "sha256": sha256, **facts}
    raise failures[0]


def _probe(
    model: OnnxModel, output: str, facts: Mapping[str, Any], sound: LogMel
) -> dict[str, int]:
    """Lengths and axes, by running a model on silence of several lengths."""
    of_mels, fixed = "M" in facts["input"], facts["fixed_length"]
    clip = sound.num_frames if of_mels else sound.clip_length
    unit = sound.hop_length if of_mels else 1  # samples
    if fixed > clip:
        what = "log-mel frames" if of_mels else "samples"
        raise ConfigError(
            f"front_end.clip_s: {model.path} takes {fixed} {what}, a clip of "
            f"{sound.clip_s:g} s has {clip}: expected clips no shorter than that"
        )
    shape_of = _shapes(model, output, facts["input"], sound)
    length = fixed or clip
    whole = shape_of(length)
    axis = _time_axis(model, whole, None if fixed else _other_shape(shape_of, length))
    count = whole[axis] if axis >= 0 else 1
    if 0 in whole:
        raise ConfigError(
            f"front_end.path: {model.path}: expected frames of a clip, got nothing, "
            f"{list(whole)}"
        )

    def num_frames(size: int) -> int:
        try:
            return shape_of(size)[axis] if axis >= 0 else 1
        except DataError:
            return 0

    hop = length / count
    if not fixed and count >= 3:
        second, third = (_first(num_frames, n, length) for n in (2, 3))
        steps = third - second
        if steps and 2 + (length - second) // steps == count:
            hop = steps
    return {
        "shortest": 1 if fixed else _first(num_frames, 1, length),
        "time_axis": axis,
        "num_values": int(np.prod(whole)) // count,
        "frames_per_clip": -(-clip * count // length),
        "frame_hop": max(1, round(hop * unit)),
    }


def _shapes(
    model: OnnxModel, output: str, layout: str, sound: LogMel
) -> Callable[[int], tuple[int, ...]]:
    """A function from samples, or log-mel frames, of silence to the output's shape."""

    def shape_of(size: int) -> tuple[int, ...]:
        values = np.zeros(size, np.float32)
        if "M" in layout:
            values = np.full((size, sound.num_mels), np.log(sound.floor), np.float32)
        return model.run(arranged(values, layout), output).shape

    return shape_of


def _other_shape(shape_of: Callable[[int], tuple[int, ...]], length: int):
    """The output's shape for half the length, or else for twice as much."""
    try:
        return shape_of(max(1, length // 2))
    except DataError:
        return shape_of(2 * length)


def _time_axis(
    model: OnnxModel, whole: tuple[int, ...], other: tuple[int, ...] | None
) -> int:
    """The axis of an output that is time; -1: it is one vector.

    Args:
        model: For messages.
        whole: The output's shape for a whole clip.
        other: That for another length; None: the model takes one length only.
    """
    wide = [axis for axis, size in enumerate(whole) if size != 1]
    if other is None:
        axes = wide[:1] if len(wide) == 2 else []
    else:
        pairs = enumerate(itertools.zip_longest(whole, other))
        axes = [axis for axis, (one, two) in pairs if one != two]
    rest = [axis for axis in wide if axis not in axes]
    if len(axes) > 1 or len(rest) > 1:
        raise ConfigError(
            f"front_end.path: {model.path}: expected frames [T, F], [1, T, F] or "
            f"[1, F, T], or one vector [F] or [1, F], got {list(whole)}"
            + ("" if other is None else f", and {list(other)} of half or twice a clip")
        )
    return axes[0] if axes else -1


def _first(num_frames: Callable[[int], int], count: int, most: int) -> int:
    """The smallest length that has so many frames, by halving; at most `most`."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if num_frames(middle) >= count else (middle + 1, high)
    return high
