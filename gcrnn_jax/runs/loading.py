"""Models by their path, or by that of the run that they are of."""

from pathlib import Path
from typing import Any

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference.card import ModelCard, check_values, check_variables
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.model_files import read_model

PyTree = Any


def load_model(path: Path, *, batch_size: int | None = None) -> TrainedModel:
    """Reads a model: of an epoch, an averaged one, or that of a run's folder.

    Args:
        path: Of the model, or a run's folder.
        batch_size: Clips, or windows, to compute at once; None: as in training.

    Raises:
        DataError: There is no model at path, or it cannot be read.
    """
    card, variables = read_card_and_variables(path)
    return TrainedModel.create(card, variables, batch_size=batch_size)


def read_card_and_variables(path: Path) -> tuple[ModelCard, PyTree]:
    """Reads a model as `load_model`, on no device and nothing compiled."""
    if members := member_folders(path):
        raise DataError(
            f"{path} is the run of an ensemble of {len(members)}, expected one model: "
            f"name a member's, such as {members[0]}; predict takes all, and evaluate "
            "the posteriors.npz in results"
        )
    path = trained_model_path(path)
    cards = []

    def check(values: Any, shapes: PyTree) -> None:
        card = ModelCard.from_dict(values, path).found_near(path)
        cards.append(card)
        check_variables(card, shapes, path)

    _, variables = read_model(path, check)
    check_values(variables, path)
    return cards[0], variables


def trained_model_path(path: Path) -> Path:
    """The model that stands for a run: the averaged one, or else the newest epoch's.

    Args:
        path: A run's folder, or a model's path, which is returned unchanged.
    """
    steps = saved_steps(path / "checkpoints")
    if not steps:
        return path
    averaged = path / "averaged"
    return averaged if averaged.is_dir() else path / "checkpoints" / str(steps[-1])


def member_folders(path: Path) -> list[Path]:
    """The folders of the members of an ensemble's run; of anything else, none.

    Raises:
        DataError: The configuration in the folder cannot be read.
    """
    if not (path / "members").is_dir():
        return []
    section = read_json(path / "config.json").get("ensemble")
    count = section.get("members") if isinstance(section, dict) else None
    if not isinstance(count, int):
        raise DataError(f"{path / 'config.json'}: expected a number ensemble.members")
    numbers = range(1, count + 1) if count > 1 else ()
    return [path / "members" / str(number) for number in numbers]
