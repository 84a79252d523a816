"""Which epochs of a run are fused, or averaged."""

import dataclasses

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import check


@dataclasses.dataclass(frozen=True)
class Fusion:
    """The epochs of a run whose posteriors, or weights, are averaged.

    Attributes:
        first_epoch: Counted from 1.
        last_epoch: Itself one of them.
        every: Epochs from one to the next.

    Example:
        >>> Fusion(first_epoch=20, last_epoch=80, every=10).epochs(num_epochs=70)
        [20, 30, 40, 50, 60, 70]
        >>> str(Fusion.parse("9:12"))
        '9:12:1'
    """

    first_epoch: int
    last_epoch: int
    every: int

    def __post_init__(self):
        """Raises ValueError for numbers that name no epoch."""
        if not 1 <= self.first_epoch <= self.last_epoch:
            raise ValueError(
                "epochs count from 1, the first before the last, got first_epoch "
                f"{self.first_epoch} and last_epoch {self.last_epoch}"
            )
        check(self, "1 or more", "every")

    @classmethod
    def parse(cls, text: str) -> "Fusion":
        """Reads "first:last:every", "first:last" or "epoch"; the last is included.

        Raises:
            ConfigError: It has another form.
        """
        try:
            first, *rest = [int(part) for part in str(text).split(":")]
            last, every = [*rest, *(first, 1)[len(rest) :]]
            return cls(first, last, every)
        except ValueError:
            raise ConfigError(
                f'epochs: expected "first:last:every", counted from 1, got {text!r}'
            ) from None

    def epochs(self, num_epochs: int) -> list[int]:
        """The epochs, those after the run's last left out.

        Raises:
            ConfigError: None is left.
        """
        last = min(self.last_epoch, num_epochs)
        numbers = list(range(self.first_epoch, last + 1, self.every))
        if not numbers:
            raise ConfigError(
                f"fusion: the run has {num_epochs} epochs, none of them in {self}"
            )
        return numbers

    def __str__(self) -> str:
        return f"{self.first_epoch}:{self.last_epoch}:{self.every}"
