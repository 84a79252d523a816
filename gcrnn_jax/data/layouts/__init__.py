"""The layouts of folders that are read, each by a module."""

from gcrnn_jax.data.layouts import dcase2017, table
from gcrnn_jax.data.layouts.layout import Layout, LayoutOptions

LAYOUTS: tuple[Layout, ...] = (dcase2017, table)

__all__ = ["LAYOUTS", "Layout", "LayoutOptions"]
