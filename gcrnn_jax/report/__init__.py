"""Systems side by side, as text and as a page; pictures of clips."""

from gcrnn_jax.report.clip_readers import ClipReader, clip_reader, folder_reader
from gcrnn_jax.report.examples import Example, ExampleSelection, select_examples
from gcrnn_jax.report.page import write_page
from gcrnn_jax.report.picture import draw, picture_png
from gcrnn_jax.report.report_data import ReportData, collect_evaluation
from gcrnn_jax.report.systems import classes_table, systems_table, write_results

__all__ = [
    "ClipReader",
    "Example",
    "ExampleSelection",
    "ReportData",
    "classes_table",
    "clip_reader",
    "collect_evaluation",
    "draw",
    "folder_reader",
    "picture_png",
    "select_examples",
    "systems_table",
    "write_page",
    "write_results",
]
