"""What can be wrong with recordings and lists, and what they hold."""

from gcrnn_jax.checking.card import data_card
from gcrnn_jax.checking.lists import check_lists
from gcrnn_jax.checking.probe import Probe, probe_all
from gcrnn_jax.checking.recordings import check_ends, check_names, check_recordings
from gcrnn_jax.checking.report import Report, group_findings
from gcrnn_jax.checking.text import markdown, summary

__all__ = [
    "Probe",
    "Report",
    "check_ends",
    "check_lists",
    "check_names",
    "check_recordings",
    "data_card",
    "group_findings",
    "markdown",
    "probe_all",
    "summary",
]
