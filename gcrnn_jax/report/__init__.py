"""Systems side by side, as text and as a page; pictures of clips."""

from gcrnn_jax.report.clip_readers import clip_reader
from gcrnn_jax.report.report_data import ReportData

__all__ = ["ReportData", "clip_reader"]
