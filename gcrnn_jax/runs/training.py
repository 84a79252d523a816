"""A run trained to its last epoch, from where an earlier start left it."""

import functools
import json
from collections.abc import Callable

import jax
from absl import logging
from jax.sharding import Mesh

from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.data.label_index import count_clips
from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DivergedError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.runs import supervision, tensorboard
from gcrnn_jax.runs.run import Run
from gcrnn_jax.runs.start import start_state
from gcrnn_jax.runs.teachers import with_found
from gcrnn_jax.training import device_cache, parallel, phases, processes
from gcrnn_jax.training.checkpoints import Checkpoints, saved_steps
from gcrnn_jax.training.loop import train
from gcrnn_jax.training.state import TrainState, TrainStep, initial_state


def train_run(
    run: Run,
    store: FeatureStore,
    mesh: Mesh,
    on_epoch: Callable[[int, TrainState], str | None],
    step_type: type[TrainStep] = TrainStep,
    *,
    is_scored: Callable[[int], bool] | None = None,
) -> bool:
    """Trains a run to its last epoch.

    Args:
        run: Whose folder gets checkpoints and logs.
        store: Its features.
        mesh: The devices.
        on_epoch: Called with (epoch, state) after each; what it returns is printed.
        step_type: Of the training step: a subclass that computes or updates otherwise.
        is_scored: Whether an epoch is: `on_epoch` is called for a restored one that is
            not, as a process may have been killed in it. None: all are.

    Returns:
        False if there was nothing left to do.

    Raises:
        ConfigError: Nothing fits of the model that it starts from, or what is frozen
            is not of it.
        DataError: That model cannot be read, or the features are of another front end.
        DivergedError: A loss or gradient was not finite.
        PreemptedError: SIGTERM came; the state is saved.
        StorageError: The disk is full or fails.
    """
    card = run.card(store)
    checkpoints = Checkpoints(run.models, run.states, card.to_dict())
    try:
        step = make_train_step(run, card, store, step_type)
        start = _first_state(run, card, step)
        failpoint("train.restore")
        with phases.phase("restoring"):
            state = checkpoints.restore(start, mesh) or parallel.put_state(start, mesh)
        done, total = int(state.step), run.config.training.num_steps
        if done and done % run.config.training.steps_per_epoch == 0:
            checkpoints.save_missing_model(state)
            epoch = done // run.config.training.steps_per_epoch
            if is_scored and not processes.broadcast_from_first(is_scored(epoch)):
                line = on_epoch(epoch, state)
                if line and jax.process_index() == 0:
                    print(line, flush=True)
        if done >= total:
            return False
        phases.continued(done)
        length = run.config.training
        if length.clips_per_epoch and jax.process_index() == 0:
            size = run.config.sampling.batch_size
            print(f"steps of an epoch: {length.steps_per_epoch}, of {size} clips each")
        if done and jax.process_index() == 0:
            print(f"continuing {run.folder} after step {done} of {total}")
        step, batches = _step_and_batches(run, store, mesh, step, start_step=done)
        with tensorboard.opened(run, done, on_epoch) as (on_step, on_end):
            train(
                state,
                step,
                batches,
                mesh=mesh,
                checkpoints=checkpoints,
                log_path=run.losses,
                length=length,
                batch_size=run.config.sampling.batch_size,
                rate_at=_rates(run),
                on_step=on_step,
                on_epoch=on_end,
            )
    except DivergedError as error:
        checkpoints.wait()
        raise note_divergence(run, error) from None
    finally:
        checkpoints.close()
    return True


def note_divergence(run: Run, error: DivergedError) -> DivergedError:
    """Allows another learning rate at the next start; the error says how to go on."""
    if jax.process_index() == 0:
        write_text(run.divergence, json.dumps({"error": str(error)}) + "\n")
    rate = run.config.optimizer.learning_rate
    flag = f"a lower --config.optimizer.learning_rate (it is {rate:g})"
    how = f"{error}. The same command with {flag}"
    steps = saved_steps(run.states)
    if not steps:
        return DivergedError(f"{how} starts again: no epoch was finished")
    how += f" goes on after epoch {steps[-1] // run.config.training.steps_per_epoch}"
    if steps[1:]:
        newest = [str(folder / str(steps[-1])) for folder in (run.states, run.models)]
        how += f", or after the one before if {' and '.join(newest)} are removed"
    return DivergedError(how)


def make_train_step(
    run: Run,
    card: ModelCard,
    store: FeatureStore,
    step_type: type[TrainStep] = TrainStep,
) -> TrainStep:
    """The training step that a run's configuration describes."""
    config, split = run.config, store.splits["training"]
    counts = count_clips(split.weak_label)
    for remark in supervision.remarks(split, counts, config):
        logging.warning("%s", remark)
    axis_name = parallel.AXIS if config.parallel.sync_batch_norm else None
    return step_type(
        config.model.clone(num_classes=len(card.classes), axis_name=axis_name),
        config.optimizer.make(
            config.training.num_steps,
            config.sampling.batch_size,
            config.training.frozen,
        ),
        config.augmentation,
        card.scaler,
        functools.partial(
            config.loss, class_shares=supervision.class_shares(split, counts)
        ),
        config.training_seed,
        config.training.weight_average,
        config.sampling.batch_size,
        config.optimizer.accumulate_steps,
        config.loss.consistency,
        config.training.frozen,
    )


def _rates(run: Run) -> Callable[[int], float]:
    total, size = run.config.training.num_steps, run.config.sampling.batch_size
    optimizer = run.config.optimizer
    return lambda step: optimizer.rate_at(step, total, size)


def _first_state(run: Run, card: ModelCard, step: TrainStep) -> TrainState:
    state = initial_state(
        step.model,
        step.optimizer,
        num_frames=card.front_end.num_frames,
        num_bins=card.front_end.num_bins,
        seed=run.config.training_seed,
        average=run.config.training.weight_average > 0,
    )
    if jax.process_index() == 0:
        count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        print(f"{step.model.kind}: {count:,} parameters", flush=True)
    if run.start_path and not saved_steps(run.states):
        return start_state(run, card, step.model, state)
    return state


def _step_and_batches(run: Run, store: FeatureStore, mesh, step, *, start_step: int):
    """The mapped step, and its batches from start_step on."""
    config, split = run.config, store.splits["training"]
    split = supervision.supervised(split, config.loss, store.front_end.hop_s)
    if config.training.teachers:
        split = with_found(run, split)
    cache, fraction = None, config.parallel.device_cache_fraction
    if device_cache.fits_on_devices(split, mesh, fraction):
        cache = device_cache.put_split(split, mesh)
        step = device_cache.gather_on_device(step)
    batches = training_batches(
        split if cache is None else None,
        config.sampling.make_sampler(
            split.weak_label,
            config.training_seed,
            split.known,
            draws_unlabelled=config.loss.consistency is not None,
            copies=config.data.copies,
        ),
        start_step=start_step,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_shares=mesh.devices.size * config.optimizer.accumulate_steps,
    )
    return parallel.data_parallel(step, mesh, shared=cache, donate=True), batches
