"""Losses, rates, speeds and scores of a run in the files that TensorBoard shows."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from gcrnn_jax.data.atomic_files import read_json_lines
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.runs.run import Run
from gcrnn_jax.training.state import TrainState

FOLDER = "tensorboard"
_OF_STEPS = ("loss", "grad_norm", "learning_rate", "clips_per_s")
_FLUSH_S = 10  # what a kill may cost

OnEpoch = Callable[[int, TrainState], str | None]
OnStep = Callable[[dict[str, Any]], None]


def check_installed(run: Run) -> None:
    """Checks that what the run's `training.tensorboard` needs is there.

    Raises:
        ConfigError: It is not; says how to install it.
    """
    if run.config.training.tensorboard:
        try:
            import tensorboardX  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"training.tensorboard: tensorboardX cannot be imported ({error}): "
                "pip install 'gcrnn_jax[tensorboard]'"
            ) from error


@contextlib.contextmanager
def opened(
    run: Run, first_step: int, on_epoch: OnEpoch
) -> Iterator[tuple[OnStep | None, OnEpoch]]:
    """Gives what writes steps and epochs of a run; without the field, no more is done.

    The x of all curves is the number of steps that were done. What earlier starts wrote
    of steps that are computed again, TensorBoard leaves out.

    Args:
        run: Whose folder gets the files.
        first_step: That is computed next.
        on_epoch: What else is called after an epoch; it writes its scores.
    """
    if not run.config.training.tensorboard or jax.process_index() > 0:
        yield None, on_epoch
        return
    check_installed(run)
    from tensorboardX import SummaryWriter

    folder, steps_per_epoch = run.folder / FOLDER, run.config.training.steps_per_epoch
    writer = SummaryWriter(
        str(folder),
        purge_step=first_step + 1,
        flush_secs=_FLUSH_S,
        filename_suffix=f".from_step_{first_step}",
    )

    def write_step(line: dict[str, Any]) -> None:
        for name in _OF_STEPS:
            if (value := line[name]) is not None:
                tag, x = f"training/{name}", line["step"] + 1
                writer.add_scalar(tag, value, x, walltime=line["time_s"])

    def write_epoch(epoch: int, state: TrainState) -> str | None:
        told = on_epoch(epoch, state)
        for _, line in read_json_lines(run.scores, "epoch"):
            if line["epoch"] == epoch:
                for name, value in line.items():
                    if isinstance(value, float):
                        tag, x = f"{line['split']}/{name}", epoch * steps_per_epoch
                        writer.add_scalar(tag, value, x)
        writer.flush()
        return told

    with contextlib.closing(writer):
        yield write_step, write_epoch
