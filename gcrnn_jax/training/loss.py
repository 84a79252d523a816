"""What training minimises: how badly clip posteriors fit labels that name no time."""

import jax
import jax.numpy as jnp


def weak_label_loss(
    clip_posterior: jax.Array, weak_label: jax.Array, *, eps: float = 1e-7
) -> jax.Array:
    """Mean binary cross-entropy over clips and classes.

    Args:
        clip_posterior: [B, K] in [0, 1].
        weak_label: [B, K] in [0, 1]; mixing clips makes labels between 0 and 1.
        eps: Posteriors are kept this far from 0 and 1, so the loss stays finite.

    Returns:
        A scalar, in nats.

    Example:
        >>> print(weak_label_loss(jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])))
        0.6931472

    Source: Xu et al., ICASSP 2018, section 2; eps is that of the authors' Keras.
    """
    p = jnp.clip(clip_posterior, eps, 1 - eps)
    return -jnp.mean(weak_label * jnp.log(p) + (1 - weak_label) * jnp.log1p(-p))
