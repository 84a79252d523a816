"""Posteriors to probabilities: a slope and a bias of the logit for every class.

Of tags with a calibrated probability of 0.7, seven of ten are right; a posterior says
that only by chance. The order of clips within a class stays as it is.

Few clips cannot tell two numbers a class. So one slope and one bias are fitted to all
classes together, and those of a class are drawn to them, by a normal prior: a class
without a single label has the slope of all, and one with many labels its own.

Source: Platt, "Probabilistic outputs for support vector machines", 1999; Guo, Pleiss,
Sun, Weinberger, "On calibration of modern neural networks", 2017.
Differs: the prior, in place of Platt's changed targets; logits are counted in bins, so
that any number of frames takes the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcrnn_jax.data.lists.event_tables import ScoredEvent
from gcrnn_jax.fields import convert

# of the bias and the slope of a class around those of all: standard deviations
SPREAD = np.array([0.6, 0.2])
MIN_SLOPE = 0.05  # a class whose posteriors say the contrary keeps their order
_LIMIT, _BINS = 16.0, 1024  # logits of the outermost bins; float32 has none beyond
_LOGITS = np.linspace(-_LIMIT, _LIMIT, _BINS)
_WEAK_PRIOR = np.array([1e-2, 1e-2])  # precision around bias 0 and slope 1, of all
_MAX_STEPS, _MAX_HALVINGS, _TOLERANCE = 100, 30, 1e-9


@dataclass(frozen=True)
class Calibrator:
    """Probability = logistic(bias + slope * logit(posterior)), class by class.

    Attributes:
        bias: K numbers.
        slope: K numbers over 0.

    Raises:
        ValueError: They are not as many, not finite, or a slope is not over 0.
    """

    bias: tuple[float, ...]
    slope: tuple[float, ...]

    def __post_init__(self):
        values = np.array([*self.bias, *self.slope])
        same = len(self.bias) == len(self.slope)
        if not (same and np.isfinite(values).all() and min(self.slope, default=1) > 0):
            raise ValueError(
                "calibration: expected a finite bias and a slope over 0 a class, got "
                f"{list(self.bias)} and {list(self.slope)}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibrator":
        """Reads what `dataclasses.asdict` gives, from JSON.

        Raises:
            KeyError: A field is missing.
            ConfigError: One is of another type, or not finite.
            ValueError: They do not fit each other, or a slope is not over 0.
        """
        numbers = (
            convert(values[name], tuple[float, ...], name) for name in ("bias", "slope")
        )
        return cls(*numbers)

    def probabilities(self, posterior: np.ndarray) -> np.ndarray:
        """Of posteriors [..., K] in [0, 1]: float64 of the same shape, in (0, 1).

        Example:
            >>> half = Calibrator(bias=(0.0,), slope=(0.5,))
            >>> half.probabilities(np.array([[0.5], [0.9]])).round(3).tolist()
            [[0.5], [0.75]]
        """
        return logistic(np.array(self.bias) + np.array(self.slope) * logit(posterior))

    def of_classes(self, posterior: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """As `probabilities`, of posteriors [n] of the classes int [n]."""
        bias, slope = np.array(self.bias)[classes], np.array(self.slope)[classes]
        return logistic(bias + slope * logit(posterior))

    def posteriors(self, probability: np.ndarray) -> np.ndarray:
        """Which posterior of each class has a probability [...]: float64 [..., K]."""
        logits = logit(probability)[..., None]
        return logistic((logits - np.array(self.bias)) / np.array(self.slope))


@dataclass(frozen=True)
class Probabilities:
    """From the posteriors of a model to probabilities.

    Attributes:
        clip: That a class is in a clip of this posterior.
        frame: That it is active in a frame of this posterior; None: no clip with strong
            labels was there to say so.

    Raises:
        ValueError: They are not of the same number of classes.
    """

    clip: Calibrator
    frame: Calibrator | None

    def __post_init__(self):
        if self.frame and len(self.frame.bias) != len(self.clip.bias):
            numbers = len(self.clip.bias), len(self.frame.bias)
            raise ValueError(f"probabilities: of {numbers} classes, expected the same")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Probabilities":
        """Reads what `dataclasses.asdict` gives; raises as that of `Calibrator`."""
        frame = values["frame"]
        return cls(
            Calibrator.from_dict(values["clip"]),
            None if frame is None else Calibrator.from_dict(frame),
        )


def with_probability(
    found: Sequence[ScoredEvent],
    calibrator: Calibrator | None,
    class_names: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Tags or events, each with the probability of its score; None: with None."""
    if calibrator is None:
        return [(*one, None) for one in found]
    place = {name: k for k, name in enumerate(class_names)}
    classes = np.array([place[one.event_label] for one in found], int)
    scores = np.array([one.score for one in found])
    values = calibrator.of_classes(scores, classes).tolist()
    return [(*one, value) for one, value in zip(found, values, strict=True)]


class LogitCounts:
    """How many posteriors of each class have which logit, and how many are right."""

    def __init__(self, num_classes: int):
        """Of K classes, none counted yet."""
        self._shape = num_classes, _BINS
        self._all = np.zeros(self._shape, np.int64)
        self._right = np.zeros(self._shape, np.int64)

    def add(self, posterior: np.ndarray, label: np.ndarray) -> None:
        """Counts posteriors, [..., K], whose labels are bool of the same shape.

        A posterior of 0, as those of padding are, is no sound at all and not counted.
        """
        place = (logit(posterior) + _LIMIT) * ((_BINS - 1) / (2 * _LIMIT))
        place = np.rint(place).astype(np.int32)
        place += np.arange(self._shape[0], dtype=np.int32) * _BINS
        is_some = posterior > 0
        self._all += self._count(place[is_some])
        self._right += self._count(place[label & is_some])

    def _count(self, places: np.ndarray) -> np.ndarray:
        size = self._all.size
        return np.bincount(places, minlength=size).reshape(self._shape)

    def fit(self) -> Calibrator:
        """The calibration that fits them best."""
        return fit_calibration(_LOGITS, self._right, self._all)


def calibrate(posterior: np.ndarray, label: np.ndarray) -> Calibrator:
    """Fits slopes and biases to labelled clips, other than those to be decided on.

    Args:
        posterior: [N, K] in [0, 1].
        label: bool [N, K].
    """
    counts = LogitCounts(posterior.shape[-1])
    counts.add(posterior, label)
    return counts.fit()


def fit_calibration(
    logits: np.ndarray, right: np.ndarray, total: np.ndarray
) -> Calibrator:
    """Fits slopes and biases to counts, by Newton's method.

    Args:
        logits: [B].
        right: [K, B], how many of each class and logit are right.
        total: [K, B], of how many.
    """
    right, total = np.asarray(right, float), np.asarray(total, float)
    pooled = right.sum(0, keepdims=True), total.sum(0, keepdims=True)
    common = _newton(logits, *pooled, (np.array([[0.0, 1.0]]), _WEAK_PRIOR))
    center = np.repeat(common, len(right), axis=0)
    found = _newton(logits, right, total, (center, 1 / SPREAD**2))
    if (low := found[:, 1] < MIN_SLOPE).any():
        center[:, 1] = MIN_SLOPE
        fixed = center[low], np.array([1 / SPREAD[0] ** 2, 1e12])
        found[low] = _newton(logits, right[low], total[low], fixed)
        found[low, 1] = MIN_SLOPE
    return Calibrator(tuple(found[:, 0].tolist()), tuple(found[:, 1].tolist()))


def logit(posterior: np.ndarray) -> np.ndarray:
    """Log odds in float64, in [-16, 16]."""
    with np.errstate(divide="ignore"):
        exact = np.asarray(posterior, np.float64)
        return np.clip(np.log(exact) - np.log1p(-exact), -_LIMIT, _LIMIT)


def logistic(logits: np.ndarray) -> np.ndarray:
    """The inverse of `logit`, in (0, 1) and without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits)


def _newton(logits, right, total, prior) -> np.ndarray:
    """Bias and slope of each row, [K, 2], that are most likely.

    Prior: the means [K, 2] and precisions [2] of normal distributions. A step is
    halved where it would make things worse; a row that cannot gain stays.
    """
    center, precision = prior
    found = center.copy()
    loss = _loss(found, logits, right, total, prior)
    for _ in range(_MAX_STEPS):
        p = logistic(found[:, :1] + found[:, 1:] * logits)
        excess, weight = total * p - right, total * p * (1 - p)
        slopes = np.stack([excess.sum(1), excess @ logits], 1)
        slopes += precision * (found - center)
        sums = [(weight * logits**power).sum(1) for power in range(3)]
        curves = np.stack([sums[0], sums[1], sums[1], sums[2]], 1).reshape(-1, 2, 2)
        curves = curves + np.diag(precision)
        step = np.linalg.solve(curves, slopes[..., None])[..., 0]
        for _ in range(_MAX_HALVINGS):
            trial = _loss(found - step, logits, right, total, prior)
            if not (worse := trial > loss + 1e-12 * np.abs(loss)).any():
                break
            step[worse] /= 2
        step[worse] = 0
        found = found - step
        loss = _loss(found, logits, right, total, prior)
        if np.abs(step).max(initial=0) < _TOLERANCE:
            break
    return found


def _loss(found, logits, right, total, prior) -> np.ndarray:
    """Minus the log of the posterior density of each row, [K], up to a constant."""
    center, precision = prior
    scores = found[:, :1] + found[:, 1:] * logits
    cross_entropy = total * np.logaddexp(0, scores) - right * scores
    return cross_entropy.sum(1) + 0.5 * (precision * (found - center) ** 2).sum(1)
