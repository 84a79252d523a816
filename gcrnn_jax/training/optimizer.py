"""The optimizer: how a weight follows its gradient, and at which rate."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import optax

from gcrnn_jax.fields import check
from gcrnn_jax.training.frozen import frozen_mask

_SMALL = ("bias", "scale")  # how the names of parameters end that are no kernels


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer and how its learning rate changes.

    Attributes:
        kind: Adam, stochastic gradient descent, or one whose steps are in proportion to
            the norm of each array of weights, for large batches: LAMB (of Adam; You et
            al., ICLR 2020) or LARS (of SGD; You, Gitman, Ginsburg, 2017).
        learning_rate: Its highest value.
        schedule: "constant" (the paper), "cosine", or "staircase": a tenth after each
            three tenths of the run.
        warmup_steps: Steps over which the rate rises from 0.
        weight_decay: With Adam decoupled from the gradient (AdamW), so with LAMB; with
            SGD added to it, so with LARS, there to that of matrices and kernels alone;
            0: none.
        eps: Added to the root of the second moment (Adam and LAMB only).
        momentum: Of past gradients (SGD and LARS only).
        clip_norm: A gradient of a greater norm, over all weights, is scaled down to
            this one; 0: none is.
        reference_batch_size: The batch size that learning_rate is meant for: another
            one's rate is in proportion to it; 0: learning_rate is that of any.
        accumulate_steps: Parts that the clips of a device are computed in, one after
            the other, in one step: as many times less memory, and the step is that of
            the whole batch but for BatchNorm, which counts the clips of a part.

    Source: the rate in proportion to the batch, and the warm-up that large batches
    need, Goyal et al., 2017.
    Differs: `optax.MultiSteps` counts every part as a step: then epochs, schedule and
    draws would depend on the number of parts.
    """

    kind: Literal["adam", "sgd", "lamb", "lars"]
    learning_rate: float
    schedule: Literal["constant", "cosine", "staircase"]
    warmup_steps: int
    weight_decay: float
    eps: float
    momentum: float
    clip_norm: float
    reference_batch_size: int
    accumulate_steps: int

    def __post_init__(self):
        check(self, "greater than 0", "learning_rate", "eps")
        check(self, "0 or more", "warmup_steps", "weight_decay")
        check(self, "0 or more", "clip_norm", "reference_batch_size")
        check(self, "1 or more", "accumulate_steps")
        check(self, "in [0, 1)", "momentum")

    def make(
        self,
        total_steps: int,
        batch_size: int | None = None,
        frozen: Sequence[str] = (),
    ) -> optax.GradientTransformation:
        """The optimizer of a run.

        Args:
            total_steps: At whose end "cosine" reaches 0.
            batch_size: Clips of a global batch; None: reference_batch_size, if any.
            frozen: Names of parameters that stay as they are, as of `frozen.is_frozen`:
                the optimizer has no moments of them, and no decay or norm counts them.
        """
        highest = self._highest_rate(batch_size)
        rate = self._rate(highest, max(1, total_steps - self.warmup_steps))
        if self.warmup_steps:
            warmup = optax.linear_schedule(0.0, highest, self.warmup_steps)
            rate = optax.join_schedules([warmup, rate], [self.warmup_steps])
        follow = self._follow(rate)
        if self.clip_norm:
            follow = optax.chain(optax.clip_by_global_norm(self.clip_norm), follow)
        if not frozen:
            return follow
        return optax.partition(
            {"trained": follow, "frozen": optax.set_to_zero()},
            lambda params: jax.tree.map(
                lambda fixed: "frozen" if fixed else "trained",
                frozen_mask(params, frozen),
            ),
        )

    def rate_at(
        self, step: int, total_steps: int, batch_size: int | None = None
    ) -> float:
        """The learning rate of a step, counted from 0, without a device.

        Args:
            step: Of the run.
            total_steps: As `make`.
            batch_size: As `make`.
        """
        highest = self._highest_rate(batch_size)
        if step < self.warmup_steps:
            return highest * step / self.warmup_steps
        step, length = step - self.warmup_steps, total_steps - self.warmup_steps
        length = max(1, length)
        if self.schedule == "constant":
            return highest
        if self.schedule == "cosine":
            return highest * (1 + math.cos(math.pi * min(1.0, step / length))) / 2
        return highest * math.prod(
            factor for start, factor in _stairs(length).items() if step >= start
        )

    def _highest_rate(self, batch_size: int | None) -> float:
        if self.reference_batch_size and batch_size:
            return self.learning_rate * (batch_size / self.reference_batch_size)
        return self.learning_rate

    def _follow(self, rate: optax.Schedule) -> optax.GradientTransformation:
        """Each kind, of gradients that are already clipped."""
        decay = self.weight_decay
        if self.kind == "adam":
            return optax.adamw(rate, eps=self.eps, weight_decay=decay)
        if self.kind == "lamb":
            return optax.lamb(rate, eps=self.eps, weight_decay=decay)
        if self.kind == "lars":
            return optax.lars(
                rate,
                decay,
                weight_decay_mask=_is_kernel,
                trust_ratio_mask=_is_kernel,
                momentum=self.momentum,
            )
        added = optax.add_decayed_weights(decay)
        return optax.chain(added, optax.sgd(rate, self.momentum))

    def _rate(self, highest: float, num_steps: int) -> optax.Schedule:
        if self.schedule == "constant":
            return optax.constant_schedule(highest)
        if self.schedule == "cosine":
            return optax.cosine_decay_schedule(highest, num_steps)
        return optax.piecewise_constant_schedule(highest, _stairs(num_steps))


def _stairs(num_steps: int) -> dict[int, float]:
    """Steps that the staircase falls at, and to which share."""
    return {max(1, n * num_steps // 10): 0.1 for n in (3, 6, 9)}


def _is_kernel(params: Any) -> Any:
    """True for kernels, False for biases and scales.

    A bias begins as 0, and a step in proportion to its norm would hardly move it.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: not jax.tree_util.keystr(path, simple=True).endswith(_SMALL),
        params,
    )
