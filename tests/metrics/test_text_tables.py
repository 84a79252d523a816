import pytest

from gcrnn_jax.metrics.tables import text_table


@pytest.mark.parametrize(
    ("value", "text"),
    [(999_999.5, "999999.5000"), (1e6, "1.0e+06"), (-1e6, "-1.0e+06")],
)
def test_numbers_from_a_million_on_are_written_short(value, text):
    assert text_table(["x", "y"], [["a", value]]).split()[-1] == text
