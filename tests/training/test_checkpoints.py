import gc
import json
import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.errors import DataError, StorageError, WorkdirError
from gcrnn_jax.training import parallel
from gcrnn_jax.training.checkpoints import Checkpoints, saved_steps
from gcrnn_jax.training.model_files import read_model, write_model
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.state import TrainState
from tests.defaults import build

CARD = {"config": {"seed": 0, "blocks": [1, 2], "on": True}, "hop_s": 0.0415}


def make_state(step, fill, average=False):
    params = {"layer": {"kernel": jnp.full((3, 2), fill), "bias": jnp.full(2, -fill)}}
    optimizer = build(Optimizer, "optimizer", learning_rate=0.1).make(9)
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        diverged=jnp.zeros((), bool),
        params=params,
        batch_stats={"norm": {"mean": jnp.full(2, 2 * fill)}},
        opt_state=optimizer.init(params),
        average=jax.tree.map(lambda x: 3 * x, params) if average else None,
    )


def open_checkpoints(workdir):
    return Checkpoints(workdir / "checkpoints", workdir / "resume", CARD)


def save_steps(workdir, *steps, average=False):
    checkpoints = open_checkpoints(workdir)
    for step in steps:
        checkpoints.save(make_state(step, step / 10, average))
    checkpoints.close()


def restored(workdir, num_devices=1, average=False):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    checkpoints = open_checkpoints(workdir)
    state = checkpoints.restore(make_state(0, 0.0, average), mesh)
    checkpoints.close()
    return state


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("num_devices", "average"), [(1, False), (4, True)])
def test_the_newest_state_comes_back_whole_on_any_number_of_devices(
    tmp_path, num_devices, average
):
    save_steps(tmp_path, 2, 4, 6, average=average)
    state = restored(tmp_path, num_devices, average)
    assert_equal(state, make_state(6, 0.6, average))
    assert len(state.step.sharding.device_set) == num_devices


def test_the_model_of_an_epoch_is_the_average_where_one_is_kept(tmp_path):
    save_steps(tmp_path, 2, average=True)
    _, variables = read_model(tmp_path / "checkpoints" / "2")
    state = make_state(2, 0.2, average=True)
    assert_equal(variables["params"], state.average)
    assert_equal(variables["batch_stats"], state.batch_stats)


def test_a_state_without_an_average_is_what_version_0_1_saved(tmp_path):
    save_steps(tmp_path, 2)
    metadata = (tmp_path / "resume" / "2" / "state" / "_METADATA").read_text()
    keys = {
        tuple(key["key"] for key in leaf["key_metadata"])
        for leaf in json.loads(metadata)["tree_metadata"].values()
    }
    names = {"step", "diverged", "params", "batch_stats", "opt_state"}
    assert {key[0] for key in keys} == names
    with pytest.raises(DataError, match="has the configuration changed"):
        restored(tmp_path, average=True)


def test_every_epoch_stays_a_model_and_old_states_go(tmp_path):
    save_steps(tmp_path, 2, 4, 6, 8)
    assert saved_steps(tmp_path / "checkpoints") == [2, 4, 6, 8]
    assert len(list((tmp_path / "resume").iterdir())) == 2
    card, variables = read_model(tmp_path / "checkpoints" / "4")
    assert card == {**CARD, "step": 4}
    assert_equal(variables["params"], make_state(4, 0.4).params)
    assert isinstance(variables["params"]["layer"]["bias"], np.ndarray)


def test_without_checkpoints_there_is_nothing_to_restore(tmp_path):
    assert restored(tmp_path) is None


def test_a_damaged_newest_state_costs_one_epoch(tmp_path):
    save_steps(tmp_path, 2, 4)
    for path in (tmp_path / "resume" / "4").rglob("d/*"):
        path.write_bytes(b"")
    assert restored(tmp_path).step == 2


def damage(folder):
    """Flips a bit of a file that orbax would not miss."""
    path = next(folder.rglob("ocdbt.process_0/d/*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_state_with_one_wrong_bit_is_skipped_and_its_model_replaced(tmp_path, caplog):
    save_steps(tmp_path, 2, 4)
    damage(tmp_path / "resume" / "4")
    checkpoints = open_checkpoints(tmp_path)
    mesh = parallel.make_mesh(jax.devices()[:1])
    assert checkpoints.restore(make_state(0, 0.0), mesh).step == 2
    [skipped] = [text for text in caplog.messages if "skipping" in text]
    assert "resume/4/" in skipped and "SHA-256" in skipped
    assert saved_steps(tmp_path / "resume") == [2]
    checkpoints.save(make_state(4, 0.7))  # trained again, on another machine
    checkpoints.close()
    _, variables = read_model(tmp_path / "checkpoints" / "4")
    assert_equal(variables["params"], make_state(4, 0.7).params)
    assert_equal(restored(tmp_path), make_state(4, 0.7))


@pytest.mark.parametrize("fault", ["gone", "damaged", "without a manifest"])
def test_a_state_whose_model_is_not_there_whole_writes_it(tmp_path, fault):
    save_steps(tmp_path, 2, 4)
    model = tmp_path / "checkpoints" / "4"
    if fault == "gone":
        shutil.rmtree(model)
    elif fault == "damaged":
        damage(model)
    else:
        (model / "manifest.json").unlink()
    checkpoints = open_checkpoints(tmp_path)
    state = checkpoints.restore(make_state(0, 0.0), parallel.make_mesh())
    checkpoints.save_missing_model(state)
    checkpoints.close()
    assert (model / "manifest.json").exists()
    card, variables = read_model(model)
    assert card["step"] == 4
    assert_equal(variables["params"], state.params)


def test_a_model_that_is_there_whole_is_left_alone(tmp_path):
    save_steps(tmp_path, 2)
    before = (tmp_path / "checkpoints" / "2" / "manifest.json").stat().st_mtime_ns
    checkpoints = open_checkpoints(tmp_path)
    checkpoints.save_missing_model(make_state(2, 0.2))
    checkpoints.close()
    after = (tmp_path / "checkpoints" / "2" / "manifest.json").stat().st_mtime_ns
    assert before == after


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
    assert saved_steps(tmp_path / "checkpoints") == [2]
    assert restored(tmp_path).step == 2


def test_a_saved_model_is_read_back_and_its_card_is_a_json_file(tmp_path):
    variables = {"params": {"w": np.arange(3.0, dtype=np.float32)}, "batch_stats": {}}
    variables["batch_stats"] = {"m": np.ones(2, np.float32)}
    path = tmp_path / "a" / "model"
    write_model(path, {"step": 1}, variables)
    write_model(path, CARD, variables)  # replaces
    card, read = read_model(path)
    assert card == CARD
    assert_equal(read, variables)
    [card_file] = (path / "card").glob("*.json*")
    assert json.loads(card_file.read_text()) == CARD


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="file"):
        write_model(tmp_path / "file" / "model", CARD, {"params": {}})


def test_what_is_no_model_is_never_replaced(tmp_path):
    save_steps(tmp_path / "run", 2)
    with pytest.raises(WorkdirError, match="is no model"):
        write_model(tmp_path / "run", CARD, {"params": {}})
    assert saved_steps(tmp_path / "run" / "checkpoints") == [2]


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.wav").touch()
    for path, content in (
        ("nothing here", "nothing"),
        ("empty", "an empty folder"),
        ("folder", "a folder of a.wav"),
        ("folder/a.wav", "a file"),
    ):
        expected = f"{path} holds no model: expected .* found {content}$"
        with pytest.raises(DataError, match=expected):
            read_model(tmp_path / path)


def test_what_cannot_be_saved_is_an_error_of_the_disk(tmp_path, monkeypatch):
    checkpoints = open_checkpoints(tmp_path)

    def full(*_, **__):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

    for checkpointer in (checkpoints._models, checkpoints._resume):
        monkeypatch.setattr(checkpointer, "save_checkpointables_async", full)
    with pytest.raises(StorageError, match=r"cannot save in .*No space left"):
        checkpoints.save(make_state(1, 0.1))
    checkpoints.close()


def test_a_save_leaves_no_files_open(tmp_path):
    """A thousand epochs would need more than a process may have."""
    checkpoints, num_open = open_checkpoints(tmp_path), {}
    for step in range(1, 13):
        checkpoints.save(make_state(step, step / 10))
        checkpoints.wait()
        gc.collect()
        num_open[step] = len(os.listdir("/proc/self/fd"))
    checkpoints.close()
    assert num_open[12] < num_open[4] + 8  # they were 48 more


def test_orbax_finds_nothing_to_replace(tmp_path, monkeypatch):
    """It would look once the first of several processes has removed it, and hang."""
    write_model(tmp_path / "model", CARD, {"params": {"a": np.zeros(2)}})
    save, found = ocp.save_checkpointables, []

    def look_and_save(path, *arguments, **options):
        found.append(Path(path).exists())
        return save(path, *arguments, **options)

    monkeypatch.setattr(ocp, "save_checkpointables", look_and_save)
    write_model(tmp_path / "model", CARD, {"params": {"a": np.ones(2)}})
    assert found == [False]
    assert read_model(tmp_path / "model")[1]["params"]["a"].tolist() == [1.0, 1.0]
