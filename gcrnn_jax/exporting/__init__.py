"""A model as programs without this package: StableHLO, ONNX; loading them.

The packages of the extra "export" (flatbuffers, onnx, onnxruntime) are imported only
where a program is written, read or compared.
"""

from gcrnn_jax.exporting.exported_model import ExportedModel
from gcrnn_jax.exporting.folder import FORMATS, export_model
from gcrnn_jax.exporting.stablehlo import FEATURES_PROGRAM, is_exported, load_exported

__all__ = [
    "FEATURES_PROGRAM",
    "FORMATS",
    "ExportedModel",
    "export_model",
    "is_exported",
    "load_exported",
]
