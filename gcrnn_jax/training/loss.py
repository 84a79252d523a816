"""The loss: cross-entropy of posteriors and labels that name no time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.fields import check
from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training.augment import Inputs

_EPS = 1e-7  # posteriors are kept this far from 0 and 1, so the loss stays finite


def weak_label_loss(clip_posterior: jax.Array, weak_label: jax.Array) -> jax.Array:
    """Mean binary cross-entropy over clips and classes.

    Args:
        clip_posterior: [B, K] in [0, 1].
        weak_label: [B, K] in [0, 1]; mixing clips makes labels between 0 and 1.

    Returns:
        A scalar, in nats.

    Example:
        >>> print(weak_label_loss(jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])))
        0.6931472

    Source: Xu et al., ICASSP 2018, section 2; the floor is that of the authors' Keras.
    """
    present, absent = _cross_entropy(clip_posterior, weak_label)
    return jnp.mean(present + absent)


@dataclasses.dataclass(frozen=True)
class Loss:
    """A weighted sum of a clip term and a frame term, of weak labels.

    The frame term holds every frame to the labels of its clip, as if each sound lasted
    from end to end.

    Another loss is another callable of the same arguments; where its
    `uses_strong_labels` is True, the inputs have strong labels.

    Source: the clip term, Xu et al., ICASSP 2018; the frame term, its attention and
    its class weights, Chou, Jang, Yang, DCASE 2017.
    """

    clip_weight: float
    frame_weight: float
    # In the frame term, frames count for the classes present by their attention.
    frame_attention: bool
    # In the frame term, the classes present count by (m (1 - m) / (p (1 - p))) to this
    # power, p the class's share of the training clips and m the mean of all p.
    class_balance_power: float

    uses_strong_labels = False

    def __post_init__(self):
        check(self, "0 or more", "clip_weight", "frame_weight", "class_balance_power")
        if not self.clip_weight + self.frame_weight > 0:
            raise ValueError("clip_weight and frame_weight are 0: nothing to learn")

    def __call__(
        self,
        posteriors: Posteriors,
        inputs: Inputs,
        class_shares: np.ndarray | None = None,
    ) -> jax.Array:
        """Returns the scalar loss of a batch, in nats; every clip counts the same.

        Args:
            posteriors: Of the network.
            inputs: With weak labels [B, K] in [0, 1].
            class_shares: [K], the share of the training clips that has each class;
                None: all the same.
        """
        label, terms = inputs.weak_label, []
        if self.clip_weight:
            terms = [self.clip_weight * weak_label_loss(posteriors.clip, label)]
        if self.frame_weight:
            term = self._frame_term(posteriors, label, class_shares)
            terms.append(self.frame_weight * term)
        return sum(terms[1:], start=terms[0])

    def _frame_term(self, posteriors, weak_label, class_shares) -> jax.Array:
        present, absent = _cross_entropy(posteriors.frame, weak_label[:, None])
        real = posteriors.frame_mask.astype(present.dtype)
        real = real[:, :, None] / jnp.maximum(real.sum(1), 1)[:, None, None]
        if self.frame_attention:
            # No gradient through attention: it could lower the loss by moving away
            # from misclassified frames.
            attention = jax.lax.stop_gradient(posteriors.attention)
            total = (attention * (real > 0)).sum(1, keepdims=True)
            present *= attention / jnp.maximum(total, _EPS) / jnp.maximum(real, _EPS)
        if class_shares is not None:
            p = np.clip(class_shares, _EPS, 1 - _EPS)
            m = p.mean()
            odds = ((m * (1 - m)) / (p * (1 - p))).astype(np.float32)
            present *= (odds**self.class_balance_power)[None, None]
        return ((present + absent) * real).sum(1).mean()


def _cross_entropy(posterior: jax.Array, label: jax.Array):
    """The terms of present and of absent classes."""
    p = jnp.clip(posterior, _EPS, 1 - _EPS)
    return -label * jnp.log(p), -(1 - label) * jnp.log1p(-p)
