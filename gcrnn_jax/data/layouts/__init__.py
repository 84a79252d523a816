"""The layouts of folders that are read, each by a module."""

from gcrnn_jax.data.layouts import (
    audacity,
    audiofolder,
    audioset,
    class_folders,
    dcase2017,
    desed,
    raven,
    table,
)
from gcrnn_jax.data.layouts.layout import Layout, LayoutOptions

LAYOUTS: tuple[Layout, ...] = (
    dcase2017,
    desed,
    audioset,
    table,
    audiofolder,
    audacity,
    raven,
    class_folders,
)

__all__ = ["LAYOUTS", "Layout", "LayoutOptions"]
