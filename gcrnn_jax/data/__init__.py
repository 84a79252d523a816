"""Class and clip lists, feature stores, sampling, batches (`loader`, with grain)."""

from gcrnn_jax.data.store import FeatureStore, Split

__all__ = ["FeatureStore", "Split"]
