"""Configurations and flags of version 0.1, under the names of today."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gcrnn_jax.training.fusion import Fusion

# Names of version 0.1 -> names of today.
_OLD_NAMES = {
    "data.held_out": "data.held_out_fraction",
    "model.network": "model.kind",
    "model.gated": "model.gated_convolution",
    "model.pooling": "model.clip_pooling",
    "sampling.size_steps": "sampling.class_size_thresholds",
    "loss.clip": "loss.clip_weight",
    "loss.frame": "loss.frame_weight",
    "loss.attended": "loss.frame_attention",
    "loss.rarity_power": "loss.class_balance_power",
    "parallel.resident_fraction": "parallel.device_cache_fraction",
    "postprocessing.gated": "postprocessing.require_clip_tag",
}
# Fields that runs of earlier versions do not have, and what these did.
_ADDED: dict[str, Any] = {
    "data.layout": "",
    "data.negatives": (),
    "data.clip_hop_s": 0.0,
    "data.split_fractions": (0.7, 0.15, 0.15),
    "data.split_seed": 0,
    "data.speeds": (),
    "data.held_out_part": 0,
    "front_end.path": "",
    "front_end.output": "",
    "front_end.mean_over_s": 0.0,
    "optimizer.clip_norm": 0.0,
    "optimizer.reference_batch_size": 0,
    "optimizer.accumulate_steps": 1,
    "sampling.max_repeats": 0.0,
    "sampling.negative_fraction": 0.0,
    "sampling.unlabelled_fraction": 0.0,
    "augmentation.max_speed": 0.0,
    "augmentation.max_pitch": 0.0,
    "augmentation.noise_fraction": 0.0,
    "augmentation.background_fraction": 0.0,
    "augmentation.min_snr_db": 5.0,
    "augmentation.max_snr_db": 25.0,
    "augmentation.max_cut_bins": 0,
    "augmentation.max_gain_db": 0.0,
    "loss.strong_weight": 0.0,
    "loss.consistency_weight": 0.0,
    "loss.consistency_ramp_steps": 0,
    "training.clips_per_epoch": 0,
    "training.evaluate_every": 1,
    "thresholds.shrinkage": 0.0,
    "prediction.shift_bins": 0,
    "thresholds.calibrated": False,
    "thresholds.medians_s": (),
    "thresholds.groups": "",
    "postprocessing.box_filter_s": 0.0,
    "postprocessing.box_merge": 0.5,
    "training.start_from": "",
    "training.soundscape_epochs": 0,
    "training.teachers": 0,
    "training.teacher_epochs": 18,
    "training.seed_offset": 0,
    "training.frozen": (),
    "training.tensorboard": False,
    "fusion.first_fraction": 1.0,  # of all their epochs they say which
    "ensemble.members": 1,
    "ensemble.differing": (),
}
# The same of the section `model`, by the network's kind.
_ADDED_TO_NETWORK: dict[str, dict[str, Any]] = {
    "gated_crnn": {
        "frequency_kernels": 0,
        "filter_multiples": (),
        "block_dropout": 0.0,
        "dropout": 0.0,
        "attention_temperature": 1.0,
        "clip_normalization": "none",
    },
}
_EPOCHS = "fusion.epochs"  # "first:last:every", in version 0.1
_SECTIONS = {name.split(".")[0] for name in (*_OLD_NAMES, *_ADDED, _EPOCHS)}


def with_todays_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in which names of version 0.1 are replaced by those of today.

    An old name that is there was set by somebody, so it has precedence.
    """
    if not all(isinstance(values.get(name, {}), Mapping) for name in _SECTIONS):
        return dict(values)  # no configuration at all, as `from_dict` will say
    sections = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in values.items()
    }
    if "network" in sections.get("model", ()):  # a whole configuration of version 0.1
        if sections.get("data", {}).get("num_workers") == 0:
            sections["data"]["num_workers"] = -1
        sections.get("training", {}).setdefault("weight_average", 0.0)
    if "training" in sections:  # which every configuration has
        sections.setdefault("ensemble", {})
        sections.setdefault("prediction", {})
    for name, value in _ADDED.items():
        section, field = name.split(".")
        if section in sections:
            sections[section].setdefault(field, value)
    for old, new in _OLD_NAMES.items():
        section, field = old.split(".")
        if field in sections.get(section, ()):
            sections[section][new.split(".")[1]] = sections[section].pop(field)
    network = sections.get("model", {})
    added = _ADDED_TO_NETWORK.get(str(network.get("kind")), {})
    network |= {name: value for name, value in added.items() if name not in network}
    if "epochs" in sections.get("fusion", ()):
        fusion = sections["fusion"]
        fusion |= dataclasses.asdict(Fusion.parse(fusion.pop("epochs")))
    return sections


def flags_with_todays_names(arguments: Sequence[str]) -> list[str]:
    """Command line flags in which names of version 0.1 are replaced.

    Example:
        >>> flags_with_todays_names(["--config.loss.clip=1", "--config.seed=2"])
        ['--config.loss.clip_weight=1', '--config.seed=2']
    """
    flags, waiting = [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        field = re.sub(r"^--?config\.", "", name)
        if field == _EPOCHS and (equals or waiting):
            value = value if equals else waiting.pop(0)
            fusion = dataclasses.asdict(Fusion.parse(value.strip("'\"")))
            del fusion["first_fraction"]  # which counts for nothing then
            flags += [f"--config.fusion.{key}={n}" for key, n in fusion.items()]
        elif field != name and field in _OLD_NAMES:
            flags.append(f"--config.{_OLD_NAMES[field]}{equals}{value}")
        elif (field := re.sub(r"^--?noconfig\.", "", name)) in _OLD_NAMES:
            flags.append(f"--noconfig.{_OLD_NAMES[field]}")
        else:
            flags.append(argument)
    return flags
