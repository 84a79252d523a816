"""Agreement with the running mean of the weights, which needs no labels."""

import dataclasses

import jax
import jax.numpy as jnp

from gcrnn_jax.models.network import Posteriors


@dataclasses.dataclass(frozen=True)
class Consistency:
    """The squared difference of the posteriors of a network and of its teacher.

    The teacher is the same network with the running mean of the weights
    (`TrainState.average`). Both get the same clips, shifted in time, added and mixed
    alike; random filters, shifts in frequency, masks and dropout are each one's own.

    Source: Tarvainen, Valpola, "Mean teachers are better role models", NeurIPS 2017,
    and their ramp, exp(-5 (1 - t)^2).
    Differs: the teacher's batch statistics are those of the batch, as the network's.
    """

    weight: float  # after the ramp
    ramp_steps: int  # 0: in full from the first step on

    def weight_at(self, step: jax.Array) -> jax.Array:
        """The weight at a step, a scalar."""
        if not self.ramp_steps:
            return jnp.asarray(self.weight, float)
        part = jnp.minimum(step / self.ramp_steps, 1.0)
        return self.weight * jnp.exp(-5.0 * jnp.square(1.0 - part))

    def __call__(self, student: Posteriors, teacher: Posteriors) -> jax.Array:
        """Returns [B], for each clip its mean over classes, of the clip and of frames.

        The gradient is that of the student alone.
        """
        teacher = jax.lax.stop_gradient(teacher)
        of_clip = jnp.square(student.clip - teacher.clip).mean(1)
        real = student.frame_mask.astype(student.frame.dtype)
        of_frames = jnp.square(student.frame - teacher.frame).mean(2) * real
        return of_clip + of_frames.sum(1) / jnp.maximum(real.sum(1), 1)
