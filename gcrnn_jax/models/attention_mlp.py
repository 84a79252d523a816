"""Attention over frames that already are embeddings: a head, without convolutions."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn

from gcrnn_jax.fields import check
from gcrnn_jax.models.layers import dropout
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.models.pooling import attention_pool


class AttentionMlp(Network):
    """Hidden layers on single frames; frames detect and attend, clips are pooled.

    The head of `GatedCrnn` on features that a larger network gives: a clip's posterior
    is the mean of its frames', weighted by a softmax over time for each class.

    Source: Xu et al., ICASSP 2018, eq. 4, for the head.
    """

    kind: ClassVar[str] = "attention_mlp"

    hidden: tuple[int, ...]  # units of the layers before the head; (): none
    dropout: float

    def __post_init__(self):
        """Raises ValueError for a field that is out of range."""
        super().__post_init__()
        check(self, "in [0, 1)", "dropout")
        check(self, "1 or more each", "hidden")

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys) -> Posteriors:
        """See `Network`."""
        x = features
        for layer, size in enumerate(self.hidden):
            x = nn.relu(nn.Dense(size, name=f"hidden_{layer}")(x))
            x = dropout(x, clip_keys, self.dropout, layer)
        frame = nn.sigmoid(nn.Dense(self.num_classes, name="detection")(x))
        # a bias would move all frames alike, which a softmax over them undoes
        logits = nn.Dense(self.num_classes, use_bias=False, name="attention")(x)
        is_real = frame_mask[:, :, None]
        # a row of nothing but padding has finite attention, too
        attention = nn.softmax(jnp.where(is_real, logits, -1e9), axis=1) * is_real
        return Posteriors(
            attention_pool(frame, attention, frame_mask), frame, attention, frame_mask
        )
