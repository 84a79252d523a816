"""What is only noted costs no clip, however often."""

from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.rejects import LossLimit, num_lost


def test_notes_do_not_count_as_clips_that_are_lost():
    notes = [code for code in Code if code.severity == "note"]
    harmless = [*notes, Code.UNKNOWN_CLIP, Code.CROPPED]
    findings = [Finding("a.csv", 1, code, "x") for code in harmless]
    assert len(notes) > 20 and num_lost(findings) == 0
    bad = Finding("a.csv", 2, Code.BAD_ROW, "y")
    assert num_lost([*findings, bad]) == 1
    assert LossLimit.examples([*findings, bad]) == "a.csv:2: BAD_ROW: y"
    of_a_file = Finding("a.wav", 0, Code.EMPTY, "z")  # listed by no line
    assert LossLimit.examples([of_a_file]) == "a.wav: EMPTY: z"
