"""A break that a test sees and one that none sees are told apart."""

import json

import pytest

from benchmarks import mutants
from benchmarks.breaks import find_breaks, sample_breaks

SOURCE = '''"""Says 3 < 4."""

import logging

__all__ = ["clip", "longest"]


def clip(x: int = 5, low=-1, *, high: "int < 3" = 7) -> int:
    """Keeps x in bounds, at most 7."""
    if x < low and not x == high:
        logging.warning("%d is low", 1)
        raise ValueError(f"{x + 1} is low")
    return max(x, low)


def longest(*texts):
    """Of all texts."""
    print("looking")
    return sorted(texts, key=len, reverse=True)[0]
'''
BROKEN_LINES = {
    "if x <= low and not x == high:",
    "if x < low or not x == high:",
    "if x < low and x == high:",
    "if x < low and not x != high:",
    "return min(x, low)",
    "return None",
    "pass",
    "return sorted(texts, reverse=True)[0]",
    "return sorted(texts, key=0, reverse=True)[0]",
    "return sorted(texts, key=len, )[0]",
    "return sorted(texts, key=len, reverse=False)[0]",
    "return sorted(texts, key=len, reverse=True)[1]",
    'def clip(x: int = 6, low=-1, *, high: "int < 3" = 7) -> int:',
    'def clip(x: int = 5, low=-2, *, high: "int < 3" = 7) -> int:',
    'def clip(x: int = 5, low=-1, *, high: "int < 3" = 8) -> int:',
}
TESTS = """
from toy.text.words import longest

def test_the_longest_is_first():
    assert longest("a", "abc", "ab") == "abc"
"""


@pytest.fixture
def toy(tmp_path):
    """A package of one room, a file of which has tests."""
    root = tmp_path / "root"
    for folder in ("toy/text", "tests/text"):
        (root / folder).mkdir(parents=True)
    (root / "toy/text/words.py").write_text(SOURCE)
    (root / "tests/text/test_words.py").write_text(TESTS)
    (root / "conftest.py").write_text("")  # the tests find the package
    return root


def test_every_kind_of_break_is_found_and_texts_and_types_are_left_alone():
    source = SOURCE.encode()
    breaks = find_breaks(source, "a.py")
    assert {one.describe(source)[2] for one in breaks} == BROKEN_LINES
    lines = SOURCE.splitlines()
    for one in breaks:
        number, before, after = one.describe(source)
        assert before == " ".join(lines[number - 1].split()) != after


def test_the_same_seed_draws_the_same_breaks(toy):
    one, same, other = (sample_breaks(toy, "toy", 6, seed) for seed in (0, 0, 1))
    assert one == same != other
    assert len({drawn.kind for drawn in one}) == len(one) == 6
    assert sample_breaks(toy, "toy", 6, 0, room="audio") == []


def test_breaks_that_tests_see_and_those_that_none_sees_are_told_apart(
    toy, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", "")
    breaks = find_breaks(SOURCE.encode(), "toy/text/words.py")
    # the one that is seen first: it must be gone when the other is tried
    drawn = [
        one for kind in ("truth", "min, max") for one in breaks if one.kind == kind
    ]
    monkeypatch.setattr(mutants, "sample_breaks", lambda *_: drawn)
    output = tmp_path / "results.jsonl"
    flags = ["--root", str(toy), "--package", "toy", "--output", str(output)]
    mutants.main(flags)
    printed = capsys.readouterr().out
    assert "+ return min(x, low)" in printed and "+ return sorted" not in printed
    outcomes = [json.loads(line)["outcome"] for line in output.open()]
    assert outcomes == ["seen", "unseen"]
    assert (toy / "toy/text/words.py").read_text() == SOURCE
    # what is done stays done
    monkeypatch.setattr(mutants.Trial, "outcome", None)
    mutants.main(flags)
    assert capsys.readouterr().out == printed


def test_the_tests_of_a_file_are_those_that_name_it_then_its_rooms(toy):
    (toy / "tests/text/test_other.py").write_text("")
    (toy / "tests/test_command.py").write_text("from toy.text import words")
    (toy / "tests/test_far.py").write_text("import toy.sound")
    named = ["tests/text/test_words.py", "tests/test_command.py", "toy/text/words.py"]
    expected = (named, ["tests/text/test_other.py"])
    assert mutants.tests_of(toy, "toy/text/words.py") == expected


def test_an_endless_break_is_timed_out_and_failing_tests_are_refused(toy, tmp_path):
    (toy / "tests/text/test_words.py").write_text(
        TESTS + "\n    while longest('a', 'ab') == 'a': pass\n"
    )
    (tmp_path / "new").mkdir()
    trial = mutants.Trial(toy, tmp_path / "new", timeout_s=10)
    assert trial._run(["tests/text"]) == 0
    trial.timeout_s = 0.01
    assert trial._run(["tests/text"]) is None
    (trial.tree / "tests/text/test_words.py").write_text("assert False")
    trial.timeout_s = 10
    with pytest.raises(SystemExit, match="fail without a break"):
        trial._check_sound({"tests/text/test_words.py"})
