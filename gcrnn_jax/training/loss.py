"""What training minimises: how badly posteriors fit labels that name no time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.models.network import Posteriors

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
    """A weighted sum of the loss of clips and that of frames.

    The frame term holds every frame to the labels of its clip, as if each sound lasted
    from end to end.

    Source: the clip term, Xu et al., ICASSP 2018; the frame term, its attention and
    its class weights, Chou, Jang, Yang, DCASE 2017.
    """

    clip: float = 1.0  # weight of the clips' term
    frame: float = 0.0  # weight of the frames' term
    # of the frames' term: frames count for the classes present by their attention
    attended: bool = False
    # of the frames' term: the classes present count by (m (1 - m) / (p (1 - p))) to
    # this power, p the class's share of the training clips and m the mean of all p
    rarity_power: float = 0.0

    def __post_init__(self):
        """Raises ValueError for weights that cannot be."""
        for name in ("clip", "frame", "rarity_power"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if not self.clip + self.frame > 0:
            raise ValueError("clip and frame are both 0: nothing to learn from")

    def __call__(
        self,
        posteriors: Posteriors,
        weak_label: jax.Array,
        class_shares: np.ndarray | None = None,
    ) -> jax.Array:
        """Returns the scalar loss of a batch, in nats; every clip counts the same.

        Args:
            posteriors: Of the network.
            weak_label: [B, K] in [0, 1].
            class_shares: [K], the share of the training clips that has each class;
                None: all the same.
        """
        terms = []
        if self.clip:
            terms.append(self.clip * weak_label_loss(posteriors.clip, weak_label))
        if self.frame:
            of_frames = self._of_frames(posteriors, weak_label, class_shares)
            terms.append(self.frame * of_frames)
        return sum(terms[1:], start=terms[0])

    def _of_frames(self, posteriors, weak_label, class_shares) -> jax.Array:
        present, absent = _cross_entropy(posteriors.frame, weak_label[:, None])
        real = posteriors.frame_mask.astype(present.dtype)
        real = real[:, :, None] / jnp.maximum(real.sum(1), 1)[:, None, None]
        if self.attended:
            # not to be learnt from: or attention would flee the frames that are wrong
            attention = jax.lax.stop_gradient(posteriors.attention)
            total = (attention * (real > 0)).sum(1, keepdims=True)
            present *= attention / jnp.maximum(total, _EPS) / jnp.maximum(real, _EPS)
        if class_shares is not None:
            present *= self._class_weights(class_shares)[None, None]
        return ((present + absent) * real).sum(1).mean()

    def _class_weights(self, class_shares: np.ndarray) -> np.ndarray:
        p = np.clip(class_shares, _EPS, 1 - _EPS)
        m = p.mean()
        return ((m * (1 - m)) / (p * (1 - p))).astype(np.float32) ** self.rarity_power


def _cross_entropy(posterior: jax.Array, label: jax.Array):
    """The terms of present and of absent classes."""
    p = jnp.clip(posterior, _EPS, 1 - _EPS)
    return -label * jnp.log(p), -(1 - label) * jnp.log1p(-p)
