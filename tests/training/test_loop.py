"""Stopping and continuing changes nothing, whatever the number of devices."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.errors import DivergedError, PreemptedError
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.training import parallel, resident
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.checkpoints import Checkpoints, model_steps
from gcrnn_jax.training.loop import Preemption, train
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import initial_state, make_optimizer, make_train_step

T, F, K, BATCH, STEPS = 16, 16, 3, 8, 3


class MemorySplit:
    """A split of random clips that needs no files."""

    def __init__(self, poisoned=None, size=20):
        rng = np.random.default_rng(0)
        self.features = rng.normal(size=(size, T, F)).astype(np.float16)
        if poisoned is not None:
            self.features[poisoned] = np.nan
        self.num_frames = rng.integers(T // 2, T + 1, size)
        self.weak_label = rng.random((size, K)) < 0.4

    def __len__(self):
        return len(self.features)

    def rows(self, indices):
        return self.features[indices]


def run(
    workdir, num_epochs, *, num_devices=4, split=None, on_epoch=None, is_resident=False
):
    """Trains to the end of num_epochs from wherever workdir is."""
    split = split or MemorySplit()
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    model = GatedCrnn(
        K,
        blocks=(1, 1),
        filters=4,
        time_pooling=(2, 1),
        frequency_pooling=(2, 2),
        last_filters=6,
        rnn_units=3,
        axis_name=parallel.AXIS,
    )
    optimizer = make_optimizer(
        total_steps=4 * STEPS,
        learning_rate=1e-2,
        schedule="cosine",
        warmup_steps=2,
        weight_decay=1e-3,
        eps=1e-8,
        kind="adam",
        momentum=0.9,
    )
    step = make_train_step(
        model,
        optimizer,
        augmentation=Augmentation(
            max_shift_frames=3,
            time_masks=1,
            max_time_mask_frames=3,
            frequency_masks=1,
            max_frequency_mask_bins=3,
            mixup_alpha=0.5,
        ),
        scaler=Scaler(np.zeros(F, np.float32), np.ones(F, np.float32)),
        loss=Loss(),
        seed=7,
    )
    held = resident.put_split(split, mesh) if is_resident else None
    step = resident.with_look_up(step) if is_resident else step
    workdir.mkdir(exist_ok=True)
    checkpoints = Checkpoints(workdir, {})
    try:
        state = initial_state(model, optimizer, num_frames=T, num_bins=F, seed=1)
        state = checkpoints.restore(state, mesh) or parallel.put_state(state, mesh)
        sampler = Sampling(BATCH, True, (5,)).make_sampler(split.weak_label, seed=7)
        return train(
            state,
            parallel.data_parallel(step, mesh, shared=held, donate=True),
            training_batches(
                None if is_resident else split, sampler, start_step=int(state.step)
            ),
            mesh=mesh,
            checkpoints=checkpoints,
            workdir=workdir,
            num_epochs=num_epochs,
            steps_per_epoch=STEPS,
            batch_size=BATCH,
            on_epoch=on_epoch,
        )
    finally:
        checkpoints.close()


def logged(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("num_devices", [1, 4])
def test_four_epochs_are_two_and_two_more_bit_for_bit(tmp_path, num_devices):
    whole = run(tmp_path / "whole", 4, num_devices=num_devices)
    run(tmp_path / "parts", 2, num_devices=num_devices)
    parts = run(tmp_path / "parts", 4, num_devices=num_devices)
    assert_same_bits(whole, parts)
    assert [line["step"] for line in logged(tmp_path / "whole")] == list(range(12))
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    assert model_steps(tmp_path / "parts") == [3, 6, 9, 12]


@pytest.mark.parametrize("num_devices", [1, 4])
def test_clips_that_devices_hold_train_to_the_same_bits(
    tmp_path, num_devices, monkeypatch
):
    monkeypatch.setattr(resident, "_CHUNK", 8)  # two whole ones and a half
    sent = run(tmp_path / "sent", 2, num_devices=num_devices)
    held = run(tmp_path / "held", 2, num_devices=num_devices, is_resident=True)
    assert_same_bits(sent, held)
    assert logged(tmp_path / "sent") == logged(tmp_path / "held")


def test_a_step_that_would_fetch_from_the_host_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gcrnn_jax.training.loop.put_batch", lambda rows, mesh: rows)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device"):
        run(tmp_path / "run", 2)


def test_a_run_continues_on_another_number_of_devices(tmp_path):
    whole = run(tmp_path / "whole", 4, num_devices=4)
    run(tmp_path / "parts", 2, num_devices=1)
    parts = run(tmp_path / "parts", 4, num_devices=4)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_sigterm_saves_between_epochs_and_the_rest_is_the_same(tmp_path):
    def stop_after_first(epoch, _):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = run(tmp_path / "whole", 4)
    with pytest.raises(PreemptedError, match="before step 4 of 12"):
        run(tmp_path / "parts", 4, on_epoch=stop_after_first)
    assert_same_bits(whole, run(tmp_path / "parts", 4))
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")


def test_lines_of_lost_steps_leave_the_log(tmp_path):
    run(tmp_path / "run", 2)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "loss": 1.0, "grad_norm": 1.0}) + "\n")
    run(tmp_path / "run", 3)
    assert [line["step"] for line in logged(tmp_path / "run")] == list(range(9))
    assert logged(tmp_path / "run")[6]["loss"] != 1.0


@pytest.mark.parametrize("cut", [b'\n{"step": 6, "lo', b"", b"\n\0\0"])
def test_a_log_that_a_dying_machine_cut_does_not_stop_the_next_start(tmp_path, cut):
    run(tmp_path / "run", 2)
    log = tmp_path / "run" / "metrics.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole.removesuffix(b"\n") + cut)
    run(tmp_path / "run", 3)
    assert log.read_bytes().startswith(whole)
    assert [line["step"] for line in logged(tmp_path / "run")] == list(range(9))


def test_sigterm_before_the_first_step_saves_no_model(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(PreemptedError):
        patch.setattr(Preemption, "asked", lambda self, step: True)
        run(tmp_path / "run", 2)
    run(tmp_path / "run", 2)
    assert model_steps(tmp_path / "run") == [3, 6]


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(tmp_path):
    labels = MemorySplit(size=200).weak_label
    sampler = Sampling(BATCH, True, (5,)).make_sampler(labels, seed=7)
    seen = [set(sampler.batch(step).tolist()) for step in range(12)]
    step, clip = next(
        (s, c) for s in range(3, 12) for c in seen[s] - set().union(*seen[:s])
    )
    split = MemorySplit(poisoned=clip, size=200)
    with pytest.raises(DivergedError, match=f"step {step + 1} is not finite"):
        run(tmp_path / "run", 4, split=split)
    assert len(logged(tmp_path / "run")) == step
