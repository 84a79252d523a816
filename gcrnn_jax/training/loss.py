"""The loss: cross-entropy of posteriors and labels, as much as is known of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.fields import check
from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training.augment import Inputs
from gcrnn_jax.training.consistency import Consistency

_EPS = 1e-7  # posteriors are kept this far from 0 and 1, so the loss stays finite


def weak_label_loss(
    clip_posterior: jax.Array, weak_label: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """Mean binary cross-entropy over clips and classes.

    Args:
        clip_posterior: [B, K] in [0, 1].
        weak_label: [B, K] in [0, 1]; mixing clips makes labels between 0 and 1.
        weight: [B] of clips, of mean 1; None: all the same.

    Returns:
        A scalar, in nats.

    Example:
        >>> print(weak_label_loss(jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])))
        0.6931472

    Source: Xu et al., ICASSP 2018, section 2; the floor is that of the authors' Keras.
    """
    present, absent = _cross_entropy(clip_posterior, weak_label)
    return _mean_of_clips(present + absent, weight)


def merge_frames(label: jax.Array, reduction: int, count: int) -> jax.Array:
    """Strong labels at the rate of posteriors: a class is active if it ever is.

    As in `frame_roll`, where an event marks every frame that it touches.

    Args:
        label: [B, T, K] in [0, 1].
        reduction: Frames in one frame of posteriors.
        count: Frames of posteriors, T' >= T / reduction.

    Returns:
        [B, T', K].

    Example:
        >>> merge_frames(jnp.array([[[0.0], [1.0], [0.0]]]), 2, 3)[0, :, 0].tolist()
        [1.0, 0.0, 0.0]
    """
    missing = count * reduction - label.shape[1]
    if reduction == 1 and not missing:
        return label
    filled = jnp.pad(label, ((0, 0), (0, missing), (0, 0)))
    return filled.reshape(len(label), count, reduction, -1).max(2)


@dataclasses.dataclass(frozen=True)
class Loss:
    """A weighted sum of terms, each the mean over the clips that it is known for.

    The clip term is of clips with weak labels, which strong ones have too; the strong
    term, of frames of strong clips; the frame term holds every frame of the other
    labelled clips to the labels of its clip, as if each sound lasted from end to end.
    Of a batch without clips of a kind the term is 0. Unlabelled clips are learnt from
    by `consistency` alone.

    Another loss is another callable of the same arguments; where its
    `uses_strong_labels` is True, the inputs have strong labels. Where clips are not all
    weak, `Inputs.known` says what each is, and it should count them accordingly.

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
    strong_weight: float  # 0: clips with strong labels are weak ones
    consistency_weight: float
    consistency_ramp_steps: int

    uses_strong_labels = False

    def __post_init__(self):
        check(self, "0 or more", *(field.name for field in dataclasses.fields(self)))
        if not self.clip_weight + self.frame_weight + self.strong_weight > 0:
            raise ValueError(
                "clip_weight, frame_weight and strong_weight are 0: nothing to learn"
            )

    @property
    def consistency(self) -> Consistency | None:
        """What unlabelled clips are learnt from; None: nothing."""
        if not self.consistency_weight:
            return None
        return Consistency(self.consistency_weight, self.consistency_ramp_steps)

    def __call__(
        self,
        posteriors: Posteriors,
        inputs: Inputs,
        class_shares: np.ndarray | None = None,
    ) -> jax.Array:
        """Returns the scalar loss of a batch, in nats; clips that count do so alike.

        Args:
            posteriors: Of the network.
            inputs: With weak labels [B, K] in [0, 1], and strong labels at the rate of
                the posteriors.
            class_shares: [K], the share of the training clips that has each class;
                None: all the same.
        """
        label, terms = inputs.weak_label, []
        if self.clip_weight:
            term = weak_label_loss(posteriors.clip, label, inputs.weak_weight)
            terms = [self.clip_weight * term]
        if self.frame_weight:
            term = self._frame_term(posteriors, inputs, class_shares)
            terms.append(self.frame_weight * term)
        if self.strong_weight and (strong_label := inputs.strong_label) is not None:
            term = _strong_term(posteriors, strong_label, inputs.strong_weight)
            terms.append(self.strong_weight * term)
        if not terms:
            raise ValueError("no strong labels, of which alone the loss has a term")
        return sum(terms[1:], start=terms[0])

    def _frame_term(self, posteriors, inputs: Inputs, class_shares) -> jax.Array:
        weak_label = inputs.weak_label[:, None]
        present, absent = _cross_entropy(posteriors.frame, weak_label)
        real = _share_of_frames(posteriors)
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
        return _mean_of_clips(((present + absent) * real).sum(1), inputs.held_weight)


def _strong_term(posteriors: Posteriors, strong_label, weight) -> jax.Array:
    present, absent = _cross_entropy(posteriors.frame, strong_label)
    of_clips = ((present + absent) * _share_of_frames(posteriors)).sum(1)
    return _mean_of_clips(of_clips, weight)


def _share_of_frames(posteriors: Posteriors) -> jax.Array:
    """Of each real frame in its clip, [B, T, 1]; 0 on padding."""
    real = posteriors.frame_mask.astype(posteriors.frame.dtype)
    return real[:, :, None] / jnp.maximum(real.sum(1), 1)[:, None, None]


def _mean_of_clips(losses: jax.Array, weight: jax.Array | None) -> jax.Array:
    """The mean of [B, K], clips weighted by [B]."""
    if weight is None:
        return losses.mean()
    return (losses * weight.astype(losses.dtype)[:, None]).mean()


def _cross_entropy(posterior: jax.Array, label: jax.Array):
    """The terms of present and of absent classes."""
    p = jnp.clip(posterior, _EPS, 1 - _EPS)
    return -label * jnp.log(p), -(1 - label) * jnp.log1p(-p)
