import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gcrnn_jax.check_config import check_config, check_shapes
from gcrnn_jax.system import make_loss, open_store, parse_epochs, train_run

from configs import laptop, sed
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training import parallel, resident


def config(module=sed):
    return module.get_config().to_dict()


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("front_end", "kind", "mel"),
        ("model", "network", "crnn"),
        ("model", "pooling", "max"),
        ("loss", "clip", -1.0),
        ("optimizer", "kind", "lion"),
        ("optimizer", "momentum", 1.0),
        ("data", "held_out", 1.5),
        ("augmentation", "added_fraction", 1.5),
        ("augmentation", "filter_points", 1),
        ("model", "attention_over", "frames"),
        ("model", "attention_reads", "clip"),
        ("model", "gru_gate", "step"),
        ("model", "gru_candidates", ("step",)),
        ("model", "ungated_activation", "gelu"),
        ("model", "dtype", "float8"),
        ("model", "time_pooling", (1, 1)),
        ("model", "heads", 3),
        ("augmentation", "cutout", 3),
        ("optimizer", "schedule", "linear"),
        ("postprocessing", "tag_threshold", 3.0),
        ("fusion", "epochs", "90:100"),
        ("fusion", "epochs", "0:3"),
        ("fusion", "epochs", "all"),
        ("sampling", "batch_size", 0),
        ("training", "num_epochs", 0),
        ("data", "soundscapes", (10, 10)),
        ("data", "soundscapes", (10, 10, 0)),
        ("data", "max_bad_fraction", 1.5),
        ("parallel", "resident_fraction", -0.5),
        ("data", "num_workers", -1),
        ("parallel", "cpu_devices", -1),
        ("model", "filters", 0),
        ("model", "blocks", ()),
        ("sampling", "size_steps", (0, 2)),
        ("sampling", "size_steps", (5, 5)),
        ("optimizer", "learning_rate", float("inf")),
        ("model", "time_pooling", (1, 0, 1, 1)),
        ("augmentation", "mixup_alpha", -1.0),
        ("optimizer", "learning_rate", -1.0),
        ("optimizer", "warmup_steps", -1),
        ("training", "steps_per_epoch", 0),
    ],
)
def test_a_field_that_fits_nothing_is_named(section, field, value):
    wrong = config()
    wrong[section][field] = value
    with pytest.raises(ConfigError, match=f"{section}.*{field}"):
        check_config(wrong)


def test_a_negative_seed_is_named():
    with pytest.raises(ConfigError, match="seed: expected 0 or more, got -1"):
        check_config({**config(), "seed": -1})


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "time_pooling", (16, 16, 1, 1)),
        ("augmentation", "max_shift_bins", 65),
        ("model", "frequency_pooling", (8, 8, 2, 1)),
        ("model", "last_frequency_pooling", 8),
        ("model", "batch_norm_momentum", 1.0),
        ("sampling", "batch_size", 45),
        ("augmentation", "max_time_mask_frames", 241),
        ("augmentation", "max_frequency_mask_bins", 65),
    ],
)
def test_what_does_not_fit_clips_or_devices_is_named(section, field, value):
    check_shapes(config(), 4)
    wrong = config()
    wrong[section][field] = value
    with pytest.raises(ConfigError, match=f"{section}.*{field}"):
        check_shapes(wrong, 4)


def test_augmentation_of_spectra_is_refused_for_mfcc():
    wrong = config()
    wrong["front_end"]["kind"] = "mfcc"
    wrong["augmentation"]["filter_db"] = 6.0
    with pytest.raises(ConfigError, match=r"filter_db 6.0 is for log_mel of power"):
        check_shapes(wrong, 4)


def test_augmentation_of_magnitudes_is_refused_for_powers():
    wrong = config()
    wrong["front_end"]["power"] = 2.0
    wrong["augmentation"]["added_fraction"] = 0.5
    with pytest.raises(ConfigError, match=r"added_fraction 0.5 is for log_mel"):
        check_shapes(wrong, 4)


def test_rare_classes_weigh_more_in_the_loss_of_frames():
    fields = config()
    fields["loss"] = {"clip": 0.0, "frame": 1.0, "attended": False, "rarity_power": 1.0}

    class Training:
        weak_label = np.arange(20)[:, None] % np.array([10, 2]) == 0

    frame = jnp.full((1, 4, 2), 0.5)
    posteriors = Posteriors(frame[:, 0], frame, frame, jnp.ones((1, 4), bool))
    loss = make_loss(fields, Training())
    rare, common = (loss(posteriors, jnp.eye(2)[k][None]) for k in (0, 1))
    assert rare > common


def test_epochs_are_first_to_last_and_no_further_than_the_run():
    assert parse_epochs("20:80:10", last=80) == [20, 30, 40, 50, 60, 70, 80]
    assert parse_epochs("3:9", last=5) == [3, 4, 5]
    assert parse_epochs("4", last=5) == [4]


def test_a_run_whose_clips_the_devices_hold_is_the_same(tmp_path, monkeypatch):
    small = config(laptop)
    small["data"] |= {"soundscapes": (24, 4, 4), "store": str(tmp_path / "store")}
    small["model"] |= {"filters": 4, "last_filters": 8, "rnn_units": 4}
    small["sampling"]["batch_size"] = 8
    small["training"] = {"num_epochs": 2, "steps_per_epoch": 2}
    store, mesh = open_store(small), parallel.make_mesh(jax.devices()[:2])
    logs = []
    put_split, held = resident.put_split, []
    monkeypatch.setattr(
        resident, "put_split", lambda *a: held.append(put_split(*a)) or held[0]
    )
    for fits in (False, True):
        monkeypatch.setattr(resident, "fits", lambda split, mesh, part, f=fits: f)
        workdir = tmp_path / str(fits)
        assert train_run(small, store, workdir, mesh, lambda epoch, state: None)
        logs.append((workdir / "metrics.jsonl").read_text())
        assert len(held) == fits
    assert logs[0] == logs[1] and logs[0].count("\n") == 4
