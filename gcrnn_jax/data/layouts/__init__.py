"""The layouts of folders that are read, each by a module."""

from gcrnn_jax.data.layouts import audiofolder, dcase2017, table
from gcrnn_jax.data.layouts.layout import Layout, LayoutOptions

LAYOUTS: tuple[Layout, ...] = (dcase2017, table, audiofolder)

__all__ = ["LAYOUTS", "Layout", "LayoutOptions"]
