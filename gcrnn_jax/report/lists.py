"""What two lists say of each other, as tables: the official figures and plain ones."""

from gcrnn_jax.metrics.segment import SegmentScores
from gcrnn_jax.metrics.tables import percent, text_table
from gcrnn_jax.metrics.tagging import OfficialTagging, Rates


def lists_tables(
    tagging: OfficialTagging | None, detection: SegmentScores | None
) -> str:
    """The tables of a list's scores; a task that was not scored is None."""
    parts = []
    if tagging:
        parts += _tagging_tables(tagging)
    if detection:
        parts += _detection_tables(detection)
    return "\n\n".join(parts)


def _tagging_tables(scores: OfficialTagging) -> list[str]:
    plain = scores.all_clips
    overall = [
        ["micro, official (ranks)", *_percents(scores.micro)],
        ["macro, official", *_percents(scores.macro)],
        ["micro, all clips", *_percents(plain.micro)],
        ["macro, all clips", "", "", percent(plain.macro_f1)],
    ]
    classes = [
        [name, *_percents(c.rates), c.num_reference, c.num_estimated]
        for name, c in plain.per_class.items()
    ]
    header = ["precision %", "recall %", "F1 %"]
    return [
        f"Tagging (subtask A): {plain.num_clips} clips, "
        f"of which {scores.num_files} count officially",
        text_table(["average", *header], overall),
        text_table(["class, all clips", *header, "reference", "estimated"], classes),
    ]


def _detection_tables(scores: SegmentScores) -> list[str]:
    overall = [
        ["micro (official)", *_percents(scores.micro), scores.error_rate],
        ["macro", "", "", percent(scores.macro_f1), scores.macro_error_rate],
        [
            "macro, sed_eval",
            "",
            "",
            percent(scores.macro_f1_sed_eval),
            scores.macro_error_rate_sed_eval,
        ],
    ]
    parts = [scores.substitution_rate, scores.deletion_rate, scores.insertion_rate]
    classes = [
        [name, *_percents(c.rates), c.error_rate, c.num_reference, c.num_estimated]
        for name, c in scores.per_class.items()
    ]
    header = ["precision %", "recall %", "F1 %", "error rate"]
    return [
        f"Detection (subtask B): {scores.num_clips} clips in segments of 1 s",
        text_table(["average", *header], overall),
        text_table(
            ["error rate", "substitutions", "deletions", "insertions"],
            [["micro (official)", *parts]],
        ),
        text_table(["class", *header, "reference", "estimated"], classes),
    ]


def _percents(rates: Rates) -> list[str]:
    return [percent(value) for value in rates]
