import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.errors import DataError, StorageError, WorkdirError
from gcrnn_jax.training import parallel
from gcrnn_jax.training.checkpoints import (
    Checkpoints,
    Model,
    load_model,
    model_path,
    model_steps,
    save_model,
    trained_path,
)
from gcrnn_jax.training.state import TrainState, make_optimizer

CARD = {"config": {"seed": 0, "blocks": [1, 2], "on": True}, "hop_s": 0.0415}


def make_state(step, fill):
    params = {"layer": {"kernel": jnp.full((3, 2), fill), "bias": jnp.full(2, -fill)}}
    optimizer = make_optimizer(
        total_steps=9,
        learning_rate=0.1,
        schedule="cosine",
        warmup_steps=1,
        weight_decay=0.0,
        eps=1e-8,
        kind="adam",
        momentum=0.9,
    )
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        diverged=jnp.zeros((), bool),
        params=params,
        batch_stats={"norm": {"mean": jnp.full(2, 2 * fill)}},
        opt_state=optimizer.init(params),
    )


def save_steps(workdir, *steps):
    checkpoints = Checkpoints(workdir, CARD)
    for step in steps:
        checkpoints.save(make_state(step, step / 10))
    checkpoints.close()


def restored(workdir, num_devices=1):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    checkpoints = Checkpoints(workdir, CARD)
    state = checkpoints.restore(make_state(0, 0.0), mesh)
    checkpoints.close()
    return state


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("num_devices", [1, 4])
def test_the_newest_state_comes_back_whole_on_any_number_of_devices(
    tmp_path, num_devices
):
    save_steps(tmp_path, 2, 4, 6)
    state = restored(tmp_path, num_devices)
    assert_equal(state, make_state(6, 0.6))
    assert len(state.step.sharding.device_set) == num_devices


def test_every_epoch_stays_a_model_and_old_states_go(tmp_path):
    save_steps(tmp_path, 2, 4, 6, 8)
    assert model_steps(tmp_path) == [2, 4, 6, 8]
    assert len(list((tmp_path / "resume").iterdir())) == 2
    card, variables = load_model(model_path(tmp_path, 4))
    assert card == {**CARD, "step": 4}
    assert_equal(variables["params"], make_state(4, 0.4).params)
    assert isinstance(variables["params"]["layer"]["bias"], np.ndarray)


def test_a_folder_of_a_run_is_its_newest_model(tmp_path):
    save_steps(tmp_path, 2, 4)
    assert load_model(tmp_path).card["step"] == 4


def test_without_checkpoints_there_is_nothing_to_restore(tmp_path):
    assert restored(tmp_path) is None


def test_a_damaged_newest_state_costs_one_epoch(tmp_path):
    save_steps(tmp_path, 2, 4)
    for path in (tmp_path / "resume" / "4").rglob("d/*"):
        path.write_bytes(b"")
    assert restored(tmp_path).step == 2


def test_when_no_state_can_be_read_nothing_starts_from_scratch(tmp_path):
    save_steps(tmp_path, 2, 4)
    for path in (tmp_path / "resume").rglob("d/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 2 states"):
        restored(tmp_path)


def test_a_folder_left_empty_by_a_crash_is_no_checkpoint(tmp_path):
    save_steps(tmp_path, 2)
    for name in ("checkpoints", "resume"):
        (tmp_path / name / "9").mkdir()
    assert model_steps(tmp_path) == [2]
    assert restored(tmp_path).step == 2


def test_a_saved_model_is_read_back_and_its_card_is_a_json_file(tmp_path):
    variables = {"params": {"w": np.arange(3.0, dtype=np.float32)}, "batch_stats": {}}
    variables["batch_stats"] = {"m": np.ones(2, np.float32)}
    path = tmp_path / "a" / "model"
    save_model(path, Model({"step": 1}, variables))
    save_model(path, Model(CARD, variables))  # replaces
    card, found = load_model(path)
    assert card == CARD
    assert_equal(found, variables)
    [card_file] = (path / "card").glob("*.json*")
    assert json.loads(card_file.read_text()) == CARD


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="file"):
        save_model(tmp_path / "file" / "model", Model(CARD, {"params": {}}))


def test_what_is_no_model_is_never_replaced(tmp_path):
    save_steps(tmp_path / "run", 2)
    with pytest.raises(WorkdirError, match="is no model"):
        save_model(tmp_path / "run", Model(CARD, {"params": {}}))
    assert model_steps(tmp_path / "run") == [2]


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.wav").touch()
    for path, found in (
        ("nothing here", "nothing"),
        ("empty", "an empty folder"),
        ("folder", "a folder of a.wav"),
        ("folder/a.wav", "a file"),
    ):
        expected = f"{path} holds no model: expected .* found {found}$"
        with pytest.raises(DataError, match=expected):
            load_model(tmp_path / path)


def test_the_averaged_model_of_a_run_stands_for_it(tmp_path):
    save_steps(tmp_path, 2, 4)
    assert trained_path(tmp_path) == model_path(tmp_path, 4)
    save_model(tmp_path / "averaged", load_model(model_path(tmp_path, 2)))
    assert trained_path(tmp_path) == tmp_path / "averaged"
    assert load_model(tmp_path).card["step"] == 2
    assert load_model(model_path(tmp_path, 4)).card["step"] == 4


def test_what_cannot_be_saved_is_an_error_of_the_disk(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, CARD)

    def full(*_):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

    for checkpointer in (checkpoints._models, checkpoints._resume):
        monkeypatch.setattr(checkpointer, "save_checkpointables_async", full)
    with pytest.raises(StorageError, match=r"cannot save in .*No space left"):
        checkpoints.save(make_state(1, 0.1))
    checkpoints.close()
