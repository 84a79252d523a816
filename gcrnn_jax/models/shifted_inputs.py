"""Posteriors as means over inputs that are shifted in frequency."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.fields import check
from gcrnn_jax.models.network import Network, Posteriors


@dataclasses.dataclass(frozen=True)
class ShiftedInputs:
    """How a model is asked, wherever posteriors of clips or recordings are computed.

    A network that was trained with `augmentation.max_shift_bins` hears the same clip
    shifted as another one of the same labels: the mean over shifts is an ensemble of
    one network. With shift_bins = 2 on three folds of weak ESC-10 it made mAP 64.0 %
    of 63.2 %, greater on each fold, in five times the time.
    """

    shift_bins: int  # by every number of bins up to this, up and down; log-mel only

    def __post_init__(self):
        """Raises ValueError for a number out of range."""
        check(self, "0 or more", "shift_bins")

    def check(self, num_bins: int, *, is_log_magnitude: bool) -> None:
        """Raises ValueError for a shift that the features do not allow."""
        if self.shift_bins and not is_log_magnitude:
            raise ValueError(
                f"shift_bins {self.shift_bins} is for log_mel of power 1 only: neither "
                "for mfcc nor for another power"
            )
        if self.shift_bins >= num_bins:
            raise ValueError(
                f"shift_bins {self.shift_bins}, expected less than the {num_bins} of a "
                "frame"
            )

    def places(self, num_bins: int) -> np.ndarray:
        """The bins that each shifted input takes, the outermost one repeated: [S, F].

        Example:
            >>> ShiftedInputs(1).places(3).tolist()
            [[1, 2, 2], [0, 1, 2], [0, 0, 1]]
        """
        shifts = np.arange(-self.shift_bins, self.shift_bins + 1)
        return np.clip(np.arange(num_bins) - shifts[:, None], 0, num_bins - 1)

    def apply(
        self,
        network: Network,
        variables: Any,
        features: jax.Array,
        frame_mask: jax.Array | None = None,
    ) -> Posteriors:
        """The network's posteriors for standardized features [B, T, F], their mean."""
        if not self.shift_bins:
            return _apply(network, variables, features, frame_mask)

        def apply(places):
            return _apply(network, variables, features[:, :, places], frame_mask)

        shifted = jax.lax.map(apply, jnp.asarray(self.places(features.shape[2])))
        means = [x.mean(0) for x in (shifted.clip, shifted.frame, shifted.attention)]
        return Posteriors(*means, frame_mask=shifted.frame_mask[0])


def _apply(network: Network, variables, features, frame_mask) -> Posteriors:
    posteriors: Any = network.apply(variables, features, frame_mask)
    return posteriors
