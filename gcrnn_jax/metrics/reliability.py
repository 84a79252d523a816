"""Whether posteriors are probabilities: of clips at 0.8, are eight of ten labelled?

Source: Guo et al., "On calibration of modern neural networks", ICML 2017;
scikit-learn 1.9, `brier_score_loss`, `log_loss`.
Differs: every pair of a clip and a class is one decision for or against a label, as
clips have several labels; Guo et al. have one of K classes. A posterior of 0 or 1 is
1e-7 or 1 - 1e-7 to the logarithm; scikit-learn takes the smallest step of its type.
"""

from dataclasses import dataclass

import numpy as np

from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.metric import ratio

_LEAST = 1e-7  # that a mistake is given for the logarithm: float32 knows no more


@dataclass(frozen=True, eq=False)
class Calibration:
    """A reliability curve of B equal bins of [0, 1], and what it comes to.

    Attributes:
        posterior: [B], mean of those in a bin; nan in an empty one.
        labelled: [B], share of them that are labelled; nan in an empty one.
        counts: int [B].
        expected_error: The difference of the two, weighted by counts (ECE).
        max_error: The largest difference (MCE).
        brier: Mean squared difference of posterior and label.
        log_loss: Mean negative logarithm of what the labels were given, in nats.
    """

    posterior: np.ndarray
    labelled: np.ndarray
    counts: np.ndarray
    expected_error: float
    max_error: float
    brier: float
    log_loss: float


def calibration(
    label: np.ndarray, posterior: np.ndarray, num_bins: int = 15
) -> Calibration:
    """Compares posteriors with how often they are right.

    A bin holds its lower end and not its upper one, the last holds 1 too.

    Args:
        label: bool or 0 and 1, of any shape: [N, K] of all classes, [N] of one.
        posterior: The same, in [0, 1].
        num_bins: B.

    Returns:
        All nan without a posterior.

    Raises:
        DataError: The shapes differ, a label is not 0 or 1, a posterior not in [0, 1].

    Example:
        >>> label = np.array([0, 0, 1, 1])
        >>> found = calibration(label, np.array([0.1, 0.2, 0.7, 1.0]), num_bins=2)
        >>> found.posterior.round(3).tolist(), found.labelled.tolist()
        ([0.15, 0.85], [0.0, 1.0])
        >>> round(found.expected_error, 3), round(found.brier, 3)
        (0.15, 0.035)
    """
    if label.shape != posterior.shape:
        shapes = f"{label.shape} and {posterior.shape}"
        raise DataError(f"labels and posteriors must be of one shape, got {shapes}")
    label = as_bool(label).ravel()
    p = posterior.ravel().astype(float)
    if len(p) and not (p.min() >= 0 and p.max() <= 1):
        raise DataError(f"expected posteriors in [0, 1], got {p.min()} to {p.max()}")
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.searchsorted(edges, p, "right") - 1, 0, num_bins - 1)
    counts = np.bincount(place, minlength=num_bins)
    mean, labelled = (
        ratio(np.bincount(place, values, num_bins), counts) for values in (p, label)
    )
    errors = np.abs(mean - labelled)[counts > 0]
    given = np.clip(np.where(label, p, 1 - p), _LEAST, 1 - _LEAST)
    return Calibration(
        posterior=mean,
        labelled=labelled,
        counts=counts,
        expected_error=ratio(float((errors * counts[counts > 0]).sum()), len(p)),
        max_error=float(errors.max()) if len(p) else float("nan"),
        brier=ratio(float(((p - label) ** 2).sum()), len(p)),
        log_loss=ratio(float(-np.log(given).sum()), len(p)),
    )
