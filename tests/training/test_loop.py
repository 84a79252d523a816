"""Stopping and continuing changes nothing, whatever the number of devices."""

import functools
import json
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.errors import DivergedError, PreemptedError
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.checkpoints import Checkpoints, saved_steps
from gcrnn_jax.training.loop import Preemption, TrainingLength, train
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.model_files import read_model
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.state import TrainStep, initial_state
from gcrnn_jax.training.step_log import StepLog
from tests.defaults import build, network

T, F, K, BATCH, STEPS = 16, 16, 3, 8, 3


class MemorySplit:
    """A split of random clips that needs no files."""

    strong_label = known = None

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


SPLIT = MemorySplit()


def make_sampler(split):
    fields = {"batch_size": BATCH, "class_size_thresholds": (5,)}
    return build(Sampling, "sampling", **fields).make_sampler(split.weak_label, 7)


@functools.cache
def make_step(num_devices, is_cached=False):
    """The step, the state before the first, and the mapped step."""
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    model = network(
        K,
        blocks=(1,),
        filters=3,
        time_pooling=(2,),
        frequency_pooling=(4,),
        last_filters=4,
        rnn_units=2,
    )
    optimizer = build(
        Optimizer,
        "optimizer",
        learning_rate=1e-2,
        schedule="cosine",
        warmup_steps=2,
        weight_decay=1e-3,
    ).make(4 * STEPS)
    step = TrainStep(
        model.clone(axis_name=parallel.AXIS),
        optimizer,
        build(
            Augmentation,
            "augmentation",
            max_shift_frames=3,
            time_masks=1,
            max_time_mask_frames=3,
            mixup_alpha=0.5,
        ),
        Scaler(np.zeros(F, np.float32), np.ones(F, np.float32)),
        build(Loss, "loss"),
        seed=7,
        average_decay=0.7,
    )
    state = initial_state(
        model, optimizer, num_frames=T, num_bins=F, seed=1, average=True
    )
    cache = device_cache.put_split(SPLIT, mesh) if is_cached else None
    step = device_cache.gather_on_device(step) if is_cached else step
    return state, mesh, parallel.data_parallel(step, mesh, shared=cache, donate=True)


def run(
    workdir,
    num_epochs,
    *,
    num_devices=4,
    split=SPLIT,
    on_step=None,
    on_epoch=None,
    is_cached=False,
):
    """Trains to the end of num_epochs from wherever workdir is."""
    first, mesh, mapped = make_step(num_devices, is_cached)
    workdir.mkdir(exist_ok=True)
    checkpoints = Checkpoints(workdir / "checkpoints", workdir / "resume", {})
    try:
        state = checkpoints.restore(first, mesh)
        state = state or parallel.put_state(jax.device_get(first), mesh)
        return jax.device_get(
            train(
                state,
                mapped,
                training_batches(
                    None if is_cached else split,
                    make_sampler(split),
                    start_step=int(state.step),
                ),
                mesh=mesh,
                checkpoints=checkpoints,
                log_path=workdir / "metrics.jsonl",
                length=TrainingLength(
                    num_epochs, STEPS, 0.7, 0, 1, "", 0, 0, 0, 0, (), False
                ),
                batch_size=BATCH,
                rate_at=lambda step: 0.5 / (step + 1),
                on_step=on_step,
                on_epoch=on_epoch,
            )
        )
    finally:
        checkpoints.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The last state, and the folder, of four epochs in one go, by devices."""

    @functools.cache
    def train_whole(num_devices):
        folder = tmp_path_factory.mktemp(f"whole_{num_devices}")
        return run(folder, 4, num_devices=num_devices), folder

    return train_whole


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Folders of runs that ended after two epochs."""

    @functools.cache
    def train_half(num_devices):
        folder = tmp_path_factory.mktemp(f"half_{num_devices}")
        run(folder, 2, num_devices=num_devices)
        return folder

    def copy(to, num_devices=4):
        return shutil.copytree(train_half(num_devices), to)

    return copy


def logged(workdir):
    """The lines of the log, but for what no two runs have the same."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    varying = ("clips_per_s", "time_s", "crc32")
    return [
        {name: value for name, value in json.loads(line).items() if name not in varying}
        for line in lines
    ]


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("num_devices", [1, 4])
def test_four_epochs_are_two_and_two_more_bit_for_bit(
    tmp_path, whole, half, num_devices
):
    state, folder = whole(num_devices)
    parts = run(half(tmp_path / "parts", num_devices), 4, num_devices=num_devices)
    assert_same_bits(state, parts)
    assert [line["step"] for line in logged(folder)] == list(range(12))
    assert logged(folder) == logged(tmp_path / "parts")
    assert saved_steps(tmp_path / "parts" / "checkpoints") == [3, 6, 9, 12]


@pytest.mark.parametrize(
    "fault",
    [
        "train.step@5:raise",
        "train.epoch@2:raise",
        "save.model@2:enospc",
        "save.state@2:raise",
        "save.done@2:raise",
    ],
)
def test_a_run_that_fails_in_an_epoch_continues_bit_for_bit(
    tmp_path, whole, fault, fails_at
):
    state, folder = whole(4)
    with fails_at(fault):
        run(tmp_path / "run", 4)
    assert saved_steps(tmp_path / "run" / "resume")[-1] in (3, 6)
    assert_same_bits(state, run(tmp_path / "run", 4))
    assert logged(tmp_path / "run") == logged(folder)
    assert saved_steps(tmp_path / "run" / "checkpoints") == [3, 6, 9, 12]


def test_the_model_of_an_epoch_is_the_averaged_one(whole):
    state, folder = whole(4)
    _, variables = read_model(folder / "checkpoints" / "12")
    assert_same_bits(variables["params"], state.average)
    assert_same_bits(variables["batch_stats"], state.batch_stats)
    pairs = zip(*map(jax.tree.leaves, (state.params, state.average)), strict=True)
    assert max(np.abs(a - b).max() for a, b in pairs) > 1e-4


@pytest.mark.parametrize("num_devices", [1, 4])
def test_clips_that_devices_hold_train_to_the_same_bits(
    tmp_path, whole, num_devices, monkeypatch
):
    monkeypatch.setattr(device_cache, "_CHUNK", 8)  # two whole ones and a half
    sent, folder = whole(num_devices)
    held = run(tmp_path / "held", 4, num_devices=num_devices, is_cached=True)
    assert_same_bits(sent, held)
    assert logged(folder) == logged(tmp_path / "held")


def test_a_step_that_would_fetch_from_the_host_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("gcrnn_jax.training.loop.put_batch", lambda rows, mesh: rows)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device"):
        run(tmp_path / "run", 2)


def test_a_run_continues_on_another_number_of_devices(tmp_path, whole, half):
    state, _ = whole(4)
    parts = run(half(tmp_path / "parts", num_devices=1), 4, num_devices=4)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_sigterm_in_the_last_epoch_ends_before_what_follows(tmp_path):
    with pytest.raises(PreemptedError, match="after the last step.*same command again"):
        on_epoch = lambda *_: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
        run(tmp_path / "run", 1, on_epoch=on_epoch)
    assert saved_steps(tmp_path / "run" / "resume") == [STEPS]


def test_sigterm_saves_between_epochs_and_the_rest_is_the_same(tmp_path, whole):
    def stop_after_first(epoch, _):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    state, folder = whole(4)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PreemptedError, match="before step 4 of 12"):
        run(tmp_path / "parts", 4, on_epoch=stop_after_first)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert_same_bits(state, run(tmp_path / "parts", 4))
    assert logged(folder) == logged(tmp_path / "parts")


def test_a_line_of_the_log_has_epoch_rate_speed_and_time(tmp_path, monkeypatch):
    before, lines, resumed = time.time(), [], []
    monkeypatch.setattr(StepLog, "resume", lambda self: resumed.append(len(lines)))
    run(tmp_path / "run", 2, on_step=lines.append)
    after = time.time()
    assert [line["step"] for line in lines] == list(range(2 * STEPS))
    assert [line["epoch"] for line in lines] == [1] * STEPS + [2] * STEPS
    assert [line["learning_rate"] for line in lines] == [0.5 / n for n in range(1, 7)]
    assert resumed == [STEPS, 2 * STEPS]  # after what is no step
    times = [line["time_s"] for line in lines]
    assert times == sorted(times)
    assert before - 0.001 <= times[0] and times[-1] <= after + 0.001
    speeds = [line["clips_per_s"] for line in lines]
    assert speeds[0] is None and min(speeds[1:]) > 0
    kept = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    for line, text in zip(lines, kept, strict=True):
        assert {"crc32": json.loads(text)["crc32"], **line} == json.loads(text)


def test_lines_of_lost_steps_leave_the_log(tmp_path, half):
    folder = half(tmp_path / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "loss": 1.0, "grad_norm": 1.0}) + "\n")
    run(folder, 3)
    assert [line["step"] for line in logged(folder)] == list(range(9))
    assert logged(folder)[6]["loss"] != 1.0


@pytest.mark.parametrize("cut", [b'\n{"step": 6, "lo', b"", b"\n\0\0"])
def test_a_log_that_a_dying_machine_cut_does_not_stop_the_next_start(
    tmp_path, half, cut
):
    folder = half(tmp_path / "run")
    log = folder / "metrics.jsonl"
    lines = log.read_bytes()
    log.write_bytes(lines.removesuffix(b"\n") + cut)
    run(folder, 3)
    assert log.read_bytes().startswith(lines)
    assert [line["step"] for line in logged(folder)] == list(range(9))


def test_the_lines_of_an_epoch_are_on_the_disk_before_its_checkpoint(
    tmp_path, monkeypatch
):
    """Or a machine that dies in between would leave steps without a line."""
    seen, save = [], Checkpoints.save

    def count_lines(self, state, **options):
        seen.append(len(logged(tmp_path / "run")))
        save(self, state, **options)

    monkeypatch.setattr(Checkpoints, "save", count_lines)
    run(tmp_path / "run", 2)
    assert seen == [STEPS, 2 * STEPS]


def test_an_epoch_is_on_the_disk_before_the_next_begins(tmp_path):
    """Or a kill in the second would cost the first too."""
    whole = []

    def find_manifests(epoch, state):
        places = (tmp_path / "run").glob(f"*/{(epoch - 1) * STEPS}/manifest.json")
        whole.append([path.parts[-3] for path in sorted(places)])

    run(tmp_path / "run", 2, on_epoch=find_manifests)
    assert whole == [[], ["checkpoints", "resume"]]


def test_sigterm_before_the_first_step_saves_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    message = "before step 1 of 6: run the same"
    with monkeypatch.context() as patch, pytest.raises(PreemptedError, match=message):
        patch.setattr(Preemption, "is_asked", lambda self, step: True)
        run(folder, 2)
    assert saved_steps(folder / "resume") == saved_steps(folder / "checkpoints") == []
    run(folder, 2)
    assert saved_steps(folder / "checkpoints") == [3, 6]


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(tmp_path):
    sampler = make_sampler(MemorySplit(size=200))
    seen = [set(sampler.batch(step).tolist()) for step in range(12)]
    step, clip = next(
        (s, c) for s in range(3, 12) for c in seen[s] - set().union(*seen[:s])
    )
    split = MemorySplit(poisoned=clip, size=200)
    with pytest.raises(DivergedError, match=f"step {step + 1} is not finite"):
        run(tmp_path / "run", 4, split=split)
    assert len(logged(tmp_path / "run")) == step


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((0, 3, 0.0, 0), "num_epochs must be 1 or more, got 0"),
        ((4, 0, 0.0, 0), "steps_per_epoch must be 1 or more, got 0"),
        ((4, 3, 1.0, 0), r"weight_average must be in \[0, 1\), got 1.0"),
        ((4, 3, -0.1, 0), "weight_average"),
        ((4, 3, 0.0, -1), "clips_per_epoch must be 0 or more, got -1"),
    ],
)
def test_a_length_out_of_range_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingLength(
            *fields,
            evaluate_every=1,
            start_from="",
            soundscape_epochs=0,
            teachers=0,
            teacher_epochs=0,
            seed_offset=0,
            frozen=(),
            tensorboard=False,
        )
