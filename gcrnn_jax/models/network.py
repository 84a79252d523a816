"""What training and prediction ask of every network."""

import dataclasses
from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
from flax import linen as nn

ROWS = "rows"  # the collection of what is known of a batch's rows, where some fill up


class Posteriors(NamedTuple):
    """Posteriors of a batch: probabilities in [0, 1], float32."""

    clip: jax.Array  # [B, K], class k is somewhere in the clip
    frame: jax.Array  # [B, T, K], class k is active in frame t
    attention: jax.Array  # [B, T, K], how much frame t counts for class k
    frame_mask: jax.Array  # bool [B, T], False on padding


class Network(nn.Module):
    """Base of the networks: standardized features in, `Posteriors` out.

    A network implements `compute`; its `kind` is its name in configurations. Everything
    it draws at random in training it may take from flax's `make_rng("dropout")`, or
    from keys of the clips.
    """

    kind: ClassVar[str]
    # fields that make as many layers or copies: sizes of all others are arrays'
    unrolled: ClassVar[tuple[str, ...]] = ()

    num_classes: int
    # BatchNorm counts all devices of this mapped axis; None: those of one device
    axis_name: str | None

    def check_sizes(self) -> None:
        """Raises ValueError for a size that no network has, before one is built of it.

        A model's card may come from anybody.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            items = value if isinstance(value, tuple) else (value,)
            sizes = [item for item in items if isinstance(item, int)]
            most = 1000 if field.name in self.unrolled else 65536
            if sum(sizes) > most or len(items) > 100:
                raise ValueError(f"{field.name} must be {most} or less, got {value}")

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return 1

    @property
    def training_reduction(self) -> int:
        """The same in training, where that is another."""
        return self.time_reduction

    @property
    def min_input_frames(self) -> int:
        """Fewest frames of features that it takes when it is exported."""
        return 1

    def for_export(self) -> Self:
        """The network in the form that is exported: in float32, of any length."""
        return self

    def __call__(
        self,
        features: jax.Array,
        frame_mask: jax.Array | None = None,
        *,
        train: bool = False,
        clip_keys: jax.Array | None = None,
    ) -> Posteriors:
        """Returns posteriors for standardized features.

        Args:
            features: [B, input frames, F], zero mean and unit variance per bin.
            frame_mask: [B, input frames] bool, False on padding; None: all real. In
                training a row may be nothing but padding, where a batch does not divide
                among the devices: what it gives is not used, but must be finite, and
                so must its gradient.
            train: Normalise by the batch and update the running statistics.
            clip_keys: [B] random keys, one a clip, for `layers.dropout`; None: no
                dropout.

        Returns:
            Posteriors with at least T = ceil(input frames / time_reduction) frames, of
            which the last ends with the clip; what is beyond it is padding.

        Raises:
            ValueError: The bins are too few for the network.
        """
        if frame_mask is None:
            frame_mask = jnp.ones(features.shape[:2], bool)
        features = jnp.where(frame_mask[:, :, None], features, 0)
        return self.compute(features, frame_mask, train, clip_keys)

    def clip_mask(self) -> jax.Array | None:
        """Bool [B], False on rows that only fill up a batch; None: all are clips.

        Of the network itself, not of modules in it: for statistics over clips.
        """
        return self.get_variable(ROWS, "is_clip", None)

    def compute(
        self,
        features: jax.Array,
        frame_mask: jax.Array,
        train: bool,
        clip_keys: jax.Array | None,
    ) -> Posteriors:
        """What `__call__` returns; the arguments are those of `__call__`."""
        raise NotImplementedError


def variable_shapes(network: Network, num_frames: int, num_bins: int):
    """Shapes of the variables of a network for features [1, num_frames, num_bins].

    Returns:
        {"params": ..., "batch_stats": ...} of `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: The bins are too few for the network.
    """
    features = jax.ShapeDtypeStruct((1, num_frames, num_bins), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), features)
