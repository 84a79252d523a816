"""Which epochs of a run are fused, or averaged."""

import dataclasses

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import check

_NUM_FUSED = 7  # epochs, about, where `every` is 0: 20, 30 ... 80 in the paper


@dataclasses.dataclass(frozen=True)
class Fusion:
    """The epochs of a run whose posteriors, or weights, are averaged.

    A field of 0 follows the run's number of epochs, whatever that is.

    Attributes:
        first_epoch: Counted from 1; 0: as first_fraction says.
        last_epoch: Itself one of them; 0: the last of the run.
        every: Epochs from one to the next; 0: such that they are about seven.
        first_fraction: The first epoch as a share of the last one, where first_epoch is
            0. Then they are counted back from the last.

    Example:
        >>> paper = Fusion(0, 0, 0, first_fraction=0.25)
        >>> paper.epochs(num_epochs=80)
        [20, 30, 40, 50, 60, 70, 80]
        >>> paper.epochs(num_epochs=5)
        [1, 2, 3, 4, 5]
        >>> str(paper), str(paper.of_run(80)), str(Fusion.parse("9:12"))
        ('0:0:0', '20:80:10', '9:12:1')
    """

    first_epoch: int
    last_epoch: int
    every: int
    first_fraction: float

    def __post_init__(self):
        """Raises ValueError for numbers that name no epoch."""
        check(self, "0 or more", "first_epoch", "last_epoch", "every")
        check(self, "in [0, 1]", "first_fraction")
        if self.last_epoch and self.first_epoch > self.last_epoch:
            raise ValueError(
                "epochs count from 1, the first before the last, got first_epoch "
                f"{self.first_epoch} and last_epoch {self.last_epoch}"
            )

    @classmethod
    def parse(cls, text: str) -> "Fusion":
        """Reads "first:last:every", "first:last" or "epoch"; the last is included.

        Raises:
            ConfigError: It has another form.
        """
        try:
            first, *rest = [int(part) for part in str(text).split(":")]
            last, every = [*rest, *(first, 1)[len(rest) :]]
            if not (first and last and every):
                raise ValueError("0 follows a run, and here there is none")
            return cls(first, last, every, first_fraction=1.0)
        except ValueError:
            raise ConfigError(
                f'epochs: expected "first:last:every", counted from 1, got {text!r}'
            ) from None

    def of_run(self, num_epochs: int) -> "Fusion":
        """The same with the numbers that a run of so many epochs has in place of 0."""
        last = self.last_epoch or max(self.first_epoch, num_epochs)
        first = self.first_epoch or max(1, round(self.first_fraction * last))
        every = self.every or max(1, round((last - first) / (_NUM_FUSED - 1)))
        if not self.first_epoch:  # so that the last is one of them
            first = last - (last - first) // every * every
        return dataclasses.replace(
            self, first_epoch=first, last_epoch=last, every=every
        )

    def epochs(self, num_epochs: int) -> list[int]:
        """The epochs, those after the run's last left out.

        Raises:
            ConfigError: None is left.
        """
        fusion = self.of_run(num_epochs)
        last = min(fusion.last_epoch, num_epochs)
        numbers = list(range(fusion.first_epoch, last + 1, fusion.every))
        if not numbers:
            raise ConfigError(
                f"fusion: the run has {num_epochs} epochs, none of them in {fusion} "
                "(fusion.first_epoch=0 follows num_epochs)"
            )
        return numbers

    def __str__(self) -> str:
        return f"{self.first_epoch}:{self.last_epoch}:{self.every}"
