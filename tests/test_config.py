"""Configurations: every mistake is named; what version 0.1 wrote is read."""

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from configs import few_clips, window_cnn
from gcrnn_jax.audio.onnx_front_end import OnnxFrontEnd
from gcrnn_jax.config import Config, field_names, flatten, load_config
from gcrnn_jax.errors import ConfigError
from tests.defaults import values

# that of embeddings is of a file of one's own: tests/test_embeddings.py
NAMES = sorted(
    {path.stem for path in Path("configs").glob("[a-z]*.py")} - {"embeddings"}
)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("front_end", "kind", "mel"),
        ("front_end", "window_length", 1024.0),
        ("model", "kind", "crnn"),
        ("model", "clip_pooling", "max"),
        ("model", "attention_over", "frames"),
        ("model", "attention_reads", "clip"),
        ("model", "gru_gate", "step"),
        ("model", "gru_candidates", ("step",)),
        ("model", "ungated_activation", "gelu"),
        ("model", "dtype", "float8"),
        ("model", "time_pooling", (1, 1)),
        ("model", "time_pooling", (1, 0, 1, 1)),
        ("model", "filters", 0),
        ("model", "blocks", ()),
        ("model", "heads", 3),
        ("loss", "clip_weight", -1.0),
        ("loss", "frame_attention", 1),
        ("optimizer", "kind", "lion"),
        ("optimizer", "momentum", 1.0),
        ("optimizer", "schedule", "linear"),
        ("optimizer", "learning_rate", float("inf")),
        ("optimizer", "learning_rate", -1.0),
        ("optimizer", "warmup_steps", -1),
        ("data", "held_out_fraction", 1.5),
        ("data", "max_bad_fraction", 1.5),
        ("data", "soundscapes", (10, 10)),
        ("data", "soundscapes", (10, 10, 0)),
        ("data", "num_workers", -2),
        ("augmentation", "added_fraction", 1.5),
        ("augmentation", "noise_fraction", 1.5),
        ("augmentation", "min_snr_db", 26.0),
        ("augmentation", "filter_points", 1),
        ("augmentation", "mixup_alpha", -1.0),
        ("augmentation", "cutout", 3),
        ("postprocessing", "tag_threshold", 3.0),
        ("postprocessing", "hysteresis", -0.1),
        ("thresholds", "per_class", "yes"),
        ("fusion", "first_epoch", -1),
        ("fusion", "last_epoch", -1),
        ("fusion", "every", -1),
        ("fusion", "first_fraction", 1.5),
        ("sampling", "batch_size", 0),
        ("sampling", "class_size_thresholds", (0, 2)),
        ("sampling", "class_size_thresholds", (5, 5)),
        ("training", "num_epochs", 0),
        ("training", "steps_per_epoch", 0),
        ("training", "weight_average", 1.0),
        ("parallel", "device_cache_fraction", -0.5),
        ("parallel", "cpu_devices", -1),
    ],
)
def test_a_field_that_fits_nothing_is_named(section, field, value):
    with pytest.raises(ConfigError, match=f"{section}.*{field}"):
        Config.from_dict(values(**{section: {field: value}}))


@pytest.mark.parametrize("seed", [-1, 1.0, True, "1", None])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(ConfigError, match=f"seed: expected 0 or more, got {seed!r}"):
        Config.from_dict({**values(), "seed": seed})


def test_epochs_to_fuse_that_the_run_has_not_are_named():
    wrong = values(fusion={"first_epoch": 90, "last_epoch": 100})
    with pytest.raises(ConfigError, match="fusion: the run has 80 epochs, none .* 90:"):
        Config.from_dict(wrong)


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("sed", [20, 30, 40, 50, 60, 70, 80]),
        ("few_clips", [16, 18, 20, 22, 24, 26, 28, 30]),
        ("best", [28, 32, 36]),
        ("laptop", [9, 10, 11, 12]),
        ("mlp", [200]),
        ("frame_cnn", [100]),
    ],
)
def test_the_fused_epochs_of_each_configuration_are_those_it_was_measured_with(
    name, epochs
):
    config = load_config(name)
    assert config.fusion.epochs(config.training.num_epochs) == epochs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_epochs", [1, 2, 3, 5, 11, 80, 100, 1000])
def test_the_fused_epochs_follow_another_number_of_epochs(name, num_epochs):
    config = load_config(name, **{"training.num_epochs": num_epochs})
    epochs = config.fusion.epochs(num_epochs)
    assert epochs[-1] == num_epochs and epochs[0] >= 1
    fraction = config.fusion.first_fraction
    steps = config.fusion.every or max(1, (1 - fraction) * num_epochs / 6)
    assert abs(epochs[0] - fraction * num_epochs) <= steps + 1
    assert len(epochs) <= 10 or "best" in name  # which says how many are between


def test_epochs_to_fuse_that_are_given_stay_as_they_are():
    fixed = Config.from_dict(values(fusion={"first_epoch": 3})).fusion
    assert fixed.epochs(5) == [3, 4, 5]
    fixed = Config.from_dict(values(fusion={"first_epoch": 30, "every": 7})).fusion
    assert fixed.epochs(50) == [30, 37, 44] and str(fixed.of_run(50)) == "30:50:7"
    fixed = Config.from_dict(values(fusion={"last_epoch": 40})).fusion
    assert fixed.epochs(80) == [10, 15, 20, 25, 30, 35, 40]
    wrong = values(training={"num_epochs": 5}, fusion={"first_epoch": 6})
    with pytest.raises(ConfigError, match=r"5 epochs, none .* 6:6:1 .*first_epoch=0"):
        Config.from_dict(wrong)
    wrong = values(fusion={"first_epoch": 20, "last_epoch": 19})
    with pytest.raises(ConfigError, match="got first_epoch 20 and last_epoch 19"):
        Config.from_dict(wrong)


def test_an_epoch_counted_in_clips_has_steps_of_the_batch_and_is_read_again():
    training = {"clips_per_epoch": 4400, "steps_per_epoch": 7}
    for size, steps in ((44, 100), (45, 98), (512, 9), (60000, 1)):
        sections = values(training=training, sampling={"batch_size": size})
        config = Config.from_dict(sections)
        assert config.training.steps_per_epoch == steps
        assert config.training.num_steps == 80 * steps
        assert Config.from_dict(config.to_dict()) == config
    too_many = {"clips_per_epoch": 10**9}
    with pytest.raises(ConfigError, match="training.clips_per_epoch: steps_per_epoch"):
        Config.from_dict(values(training=too_many))


@pytest.mark.parametrize("name", ["model", "seed", "fusion"])
def test_a_section_that_is_missing_is_named(name):
    sections = values()
    del sections[name]
    with pytest.raises(ConfigError, match=f"^{name}: expected a section, got None"):
        Config.from_dict(sections)
    if name != "seed":
        with pytest.raises(ConfigError, match=f"^{name}: expected a section, got 3"):
            Config.from_dict({**values(), name: 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainin": {}}, "trainin: unknown field or section; did you mean training?"),
        ({"filters": 8}, "filters: unknown field or section; did you mean model.f"),
        ({"epochs": 8}, "epochs: unknown field or section; did you mean training.num"),
        ({"model.filter": 8}, "model.filter: unknown field; did you mean model.filter"),
        ({"model.lr": 8}, "model.lr: unknown field; did you mean optimizer.learning_r"),
        ({"optimizer.lr": 0.1}, "optimizer.lr: unknown field; did you mean optimizer."),
        (
            {"front_end.hop": 9},
            "front_end.hop: unknown field; did you mean front_end.h",
        ),
        (
            {"optimizer.kimd": 9},
            "optimizer.kimd: unknown field; did you mean optimizer.kind?",
        ),
        (
            {"data.epoch": 9},
            "data.epoch: unknown field; did you mean training.num_epoc",
        ),
        ({"model.xyz": 9}, "model.xyz: unknown field; known: kind, blocks, filters, "),
        ({"xyz": 9}, "xyz: unknown field or section; known: seed, front_end, model,"),
        ({"model.hidden": 9}, "model.hidden: of a network of kind mlp or attention_ml"),
        ({"model.axis_name": 9}, "model.axis_name: unknown field"),
        ({"model.kind": "mlp"}, "model.attention_over: of a network of kind gated"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(changes, message):
    sections = values()
    for name, value in changes.items():
        section, _, field = name.rpartition(".")
        (sections[section] if section else sections)[field] = value
    with pytest.raises(ConfigError) as error:
        Config.from_dict(sections)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", NAMES)
def test_the_types_of_all_fields_are_known(name):
    sections = load_values(name)
    names = field_names(sections)
    unused = {"front_end.num_coefficients", "front_end.delta_width"}
    of_onnx = {f"front_end.{name}" for name in ("path", "output", "mean_over_s")}
    optional = {f"front_end.{name}" for name in OnnxFrontEnd.found}
    optional |= {"postprocessing.chosen_on"}
    assert {*names.types} - optional == {*flatten(sections)} | unused
    needed = {f"{s}.{field}" for s, fields in names.needed.items() for field in fields}
    rest = optional | {"seed"}
    rest |= unused if sections["front_end"]["kind"] == "log_mel" else set()
    assert needed == {*names.types} - rest - of_onnx


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_written_as_it_is_read(name):
    config = load_config(name)
    written = config.to_dict()
    assert Config.from_dict(written) == config
    assert Config.from_dict(json.loads(json.dumps(written))) == config
    fields = flatten(load_values(name))
    again = flatten(json.loads(json.dumps(written)))
    again.pop("postprocessing.chosen_on", None)  # of thresholds found on a split
    assert again == json.loads(json.dumps(fields))


def load_values(name):
    return importlib.import_module(f"configs.{name}").get_config().to_dict()


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "time_pooling", (16, 16, 1, 1)),
        ("model", "frequency_pooling", (8, 8, 2, 1)),
        ("model", "last_frequency_pooling", 8),
        ("model", "batch_norm_momentum", 1.0),
        ("augmentation", "max_shift_bins", 65),
        ("augmentation", "max_time_mask_frames", 241),
        ("augmentation", "max_frequency_mask_bins", 65),
        ("optimizer", "accumulate_steps", 45),
        ("prediction", "shift_bins", 64),
    ],
)
def test_what_does_not_fit_clips_or_batches_is_named(section, field, value):
    config = Config.from_dict(values(**{section: {field: value}}))
    with pytest.raises(ConfigError, match=f"{section}.*{field}"):
        config.check_shapes()


def test_what_fits_is_accepted_to_the_last_frame_and_bin():
    largest = {
        "max_shift_bins": 64,
        "max_time_mask_frames": 240,
        "max_frequency_mask_bins": 64,
    }
    Config.from_dict(values(augmentation=largest)).check_shapes()


@pytest.mark.parametrize(
    ("front_end", "field", "value"),
    [
        ({"kind": "mfcc"}, "filter_db", 6.0),
        ({"kind": "mfcc"}, "max_shift_bins", 1),
        ({"kind": "mfcc"}, "max_pitch", 0.1),
        ({"kind": "mfcc"}, "background_fraction", 0.1),
        ({"power": 2.0}, "added_fraction", 0.5),
    ],
)
def test_augmentation_of_magnitudes_is_for_log_mel_of_power_1(front_end, field, value):
    wrong = values(front_end=front_end, augmentation={field: value})
    with pytest.raises(ConfigError, match=rf"augmentation: {field} {value} is for"):
        Config.from_dict(wrong).check_shapes()
    Config.from_dict(values(front_end=front_end)).check_shapes()


def test_shifted_inputs_are_for_log_mel_of_power_1():
    sections = values(front_end={"kind": "mfcc"}, prediction={"shift_bins": 1})
    with pytest.raises(ConfigError, match="prediction: shift_bins 1 is for log_mel"):
        Config.from_dict(sections).check_shapes()


def test_sections_are_objects_of_their_rooms_and_cannot_be_changed():
    config = Config.from_dict(values(few_clips))
    assert dataclasses.is_dataclass(config.augmentation)
    for section in ("data", "sampling", "loss", "optimizer", "training", "fusion"):
        part = getattr(config, section)
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, getattr(part, name))
    model = Config.from_dict(values(window_cnn)).model
    assert model.kind == "window_cnn" and model.num_classes == 1


def test_numbers_come_in_the_type_that_they_have():
    config = Config.from_dict(values(loss={"frame_weight": 1}))
    assert type(config.loss.frame_weight) is float
    assert isinstance(config.sampling.class_size_thresholds, tuple)
    assert np.isscalar(config.postprocessing.tag_threshold)
