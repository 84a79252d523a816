"""Every example in the README of an export is one that its program takes."""

import json
import re

import pytest

from gcrnn_jax.exporting.readme import readme


@pytest.fixture
def card(exported):
    return json.loads((exported / "card.json").read_text())


def sections(text):
    """The sections by their headings."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_example_of_every_program_runs_as_it_stands(
    exported, card, monkeypatch, capsys
):
    monkeypatch.chdir(exported)
    programs = card["exported"]["programs"]
    written = sections((exported / "README.md").read_text())
    assert list(written)[:-1] == list(programs)
    for program in programs:
        (code,) = re.findall(r"```python\n(.*?)```", written[program], re.S)
        assert f'"{program}"' in code
        exec(code, {})
        printed = capsys.readouterr().out
        assert all(name in printed for name in card["classes"]["names"])


@pytest.mark.parametrize(
    ("min_frames", "min_samples", "shapes"),
    [
        (3, 1024, {(1, 240, 8), (1, 160000)}),  # ten seconds
        (300, 200000, {(1, 300, 8), (1, 200000)}),  # the fewest
    ],
)
def test_the_examples_are_of_ten_seconds_or_of_the_fewest_frames(
    card, min_frames, min_samples, shapes
):
    fewest = {"min_frames": min_frames, "min_samples": min_samples}
    assert card["exported"].keys() >= fewest.keys()
    card["exported"] |= fewest
    text = readme(card)
    for shape in shapes:
        assert f"np.zeros({shape}, np.float32)" in text
    assert f"at least {min_frames} frames" in text
    assert f"at least {min_samples} samples" in text
