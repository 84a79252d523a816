import numpy as np
import pytest

from gcrnn_jax.metrics.tables import json_text, text_table


@pytest.mark.parametrize(
    ("value", "text"),
    [(999_999.5, "999999.5000"), (1e6, "1.0e+06"), (-1e6, "-1.0e+06")],
)
def test_numbers_from_a_million_on_are_written_short(value, text):
    assert text_table(["x", "y"], [["a", value]]).split()[-1] == text


def test_json_is_for_people_too():
    assert json_text({"a": [np.float32(0.5)], "b": np.nan}) == (
        '{\n  "a": [\n    0.5\n  ],\n  "b": null\n}\n'
    )
