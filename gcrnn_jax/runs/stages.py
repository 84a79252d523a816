"""What one command trains: what a run starts from, what it learns from, and itself."""

import sys

import jax

from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.data.label_index import count_clips
from gcrnn_jax.data.preparation import summary
from gcrnn_jax.data.split import WEAK, Split
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.runs.features import open_store
from gcrnn_jax.runs.groups import check_groups
from gcrnn_jax.runs.kept_posteriors import predict_fused
from gcrnn_jax.runs.logs import has_scores
from gcrnn_jax.runs.provenance import record_start
from gcrnn_jax.runs.run import Run
from gcrnn_jax.runs.scores import score_epoch
from gcrnn_jax.runs.teachers import Found, write_found
from gcrnn_jax.runs.training import train_run
from gcrnn_jax.training import parallel, phases, processes
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.phases import Account


def train(run: Run) -> tuple[FeatureStore, TrainedModel]:
    """Trains a run, unless that is done; returns its features and its network."""
    length, is_first = run.config.training, jax.process_index() == 0
    with phases.phase("waiting", is_watched=False):
        store = open_store(run.config)
    if is_first:
        run.write_data(store)
        run.check_data(store)
        check_groups(run.config.thresholds, store)
        record_start(run, store, sys.argv)
        print(f"{summary(store)}\nfeatures in {store.path}", flush=True)
        if "held_out" in store.splits:
            print(f"held out of training: {len(store.originals('held_out'))} clips")
    mesh = parallel.make_mesh()
    model = TrainedModel.create(run.card(store), None, mesh=mesh)
    watched = store.find_split("validation" if "validation" in store.splits else None)

    def on_epoch(epoch: int, state) -> str:
        of_epoch = model.replace(variables=state.variables)
        return score_epoch(run, epoch, of_epoch, watched)

    def is_scored(epoch: int) -> bool:
        return has_scores(run.scores, epoch) or not run.is_scored(epoch)

    was_trained = train_run(run, store, mesh, on_epoch, is_scored=is_scored)
    if not was_trained and is_first:
        print(f"{run.folder} is finished ({length.num_epochs} epochs): evaluating")
    return store, model


def begin(run: Run, *, rate_may_change: bool) -> None:
    """Makes the folder of a run that is a part of another."""
    make_folder(run.folder)
    run.check_config(rate_may_change=rate_may_change)
    processes.barrier("every process has compared the configuration of a part")
    if jax.process_index() == 0:
        run.write_config()


def train_earlier(
    run: Run, account: Account, num_steps: int, *, rate_may_change: bool
) -> int:
    """Trains what a run starts from and what it learns from, unless that is done.

    Args:
        run: That is trained next, or an ensemble for the members that share it.
        account: Of all that is trained.
        num_steps: Of what was trained before.
        rate_may_change: See `Run.check_config`.

    Returns:
        The steps before the run's own.
    """
    account.next_training(num_steps)
    if run.shared:
        return num_steps
    num_steps = _train_soundscapes(run, num_steps, rate_may_change=rate_may_change)
    num_steps = _train_teachers(
        run, account, num_steps, rate_may_change=rate_may_change
    )
    account.next_training(num_steps)
    return num_steps


def _train_soundscapes(run: Run, num_steps: int, *, rate_may_change: bool) -> int:
    start = run.soundscapes
    if start is None:
        return num_steps
    if not all(one.start.exists() for one in _sharing(run)):  # has taken the weights
        with phases.phase("waiting", is_watched=False):  # mistakes cost no training
            check_groups(run.config.thresholds, open_store(run.config))
        _tell(f"on soundscapes first: {start.folder}")
        begin(start, rate_may_change=rate_may_change)
        _, model = train(start)
        with phases.phase("evaluating", is_watched=False):
            start.average(model)
        _tell(f"then on recordings: {run.folder}")
    return num_steps + start.config.training.num_steps


def _train_teachers(
    run: Run, account: Account, num_steps: int, *, rate_may_change: bool
) -> int:
    teachers = run.teachers
    if teachers and not processes.broadcast_from_first(_is_trained(run)):
        split, found = _open_parts(run), []
        if not processes.broadcast_from_first(run.found_frames.exists()):
            for number, teacher in enumerate(teachers, start=1):
                _tell(f"teacher {number} of {len(teachers)}: {teacher.folder}")
                begin(teacher, rate_may_change=rate_may_change)
                earlier = (number - 1) * teacher.config.training.num_steps
                account.next_training(num_steps + earlier)
                found.append(_train_teacher(teacher))
            if jax.process_index() == 0:
                write_found(run, split, found)
            processes.barrier("what teachers found is written")
            _tell(f"then with what they found: {run.folder}")
    return num_steps + sum(one.config.training.num_steps for one in teachers)


def _train_teacher(teacher: Run) -> Found:
    store, model = train(teacher)
    with phases.phase("evaluating", is_watched=False):
        fusion, held_out = teacher.config.fusion, store.splits["held_out"]
        posteriors = predict_fused(teacher, fusion, held_out, model)
    heard = count_clips(store.splits["training"].weak_label) > 0
    return Found(posteriors, heard)


def _open_parts(run: Run) -> Split:
    """The training clips; mistakes in their division cost no training."""
    with phases.phase("waiting", is_watched=False):
        store = open_store(run.config)
        try:
            for config in run.config.teachers():  # the same features, in other parts
                config.data.hold_out(FeatureStore.open(store.path), config.seed)
        except DataError as error:
            raise DataError(f"training.teachers: {error}") from None
    split = store.splits["training"]
    if not (split.kinds == WEAK).any():
        raise DataError(
            f"training.teachers: {store.path}: no training clip has weak labels alone, "
            "in which teachers would find events"
        )
    if jax.process_index() == 0:
        run.write_data(store)
        run.check_data(store)
    return split


def _is_trained(run: Run) -> bool:
    """Whether each run that learns from its teachers has its last epoch."""
    return all(
        one.config.training.num_steps in saved_steps(one.models)
        for one in _sharing(run)
    )


def _sharing(run: Run) -> list[Run]:
    """The runs that have a run's start and teachers: members that do, or itself."""
    return [member for member in run.members if member.shared] or [run]


def _tell(text: str) -> None:
    """Says what comes next, once."""
    if jax.process_index() == 0:
        print(f"\n{text}", flush=True)
