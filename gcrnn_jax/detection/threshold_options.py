"""The config section `thresholds`."""

import dataclasses
import math

from gcrnn_jax.fields import check


@dataclasses.dataclass(frozen=True)
class ThresholdOptions:
    """How thresholds are fitted.

    Attributes:
        per_class: One for each class, or one for all.
        shrinkage: Of those of classes towards one for all; see `fit_thresholds`.
        calibrated: One for all is a calibrated probability, not a posterior.
        medians_s: Lengths of which each class gets the best as its median; (): none.
        groups: A file of clips, or recordings, and groups: where halves of the clips
            find thresholds for each other, those of a group are in one half, and are
            drawn together for intervals; "": those of a recording are.
    """

    per_class: bool
    shrinkage: float
    calibrated: bool
    medians_s: tuple[float, ...]
    groups: str

    def __post_init__(self):
        """Raises ValueError for a number that is out of range."""
        check(self, "0 or more", "shrinkage")
        if not all(0 <= length < math.inf for length in self.medians_s):
            raise ValueError(f"medians_s: expected >= 0, got {self.medians_s}")
