"""The page of a scorecard: figures, classes, curves, where systems disagree."""

import re

import numpy as np
import pytest

from gcrnn_jax.evaluate import main
from gcrnn_jax.evaluation import Choice, Files, score_files
from gcrnn_jax.evaluation.fused_scores import table_text
from gcrnn_jax.metrics import ScoreTable
from gcrnn_jax.report.scorecard_page import scorecard_page

HOSTILE = "<script>alert(1)</script>"
NAMES = ("Dog", HOSTILE)


@pytest.fixture
def files(tmp_path):
    """Six recordings of 4 s; lists that miss both events of r1, the other of r3 too."""
    reference, mine, other = "", "", ""
    (scores := tmp_path / "scores").mkdir()
    for n in range(6):
        rows = f"r{n}.wav\t1\t2\tDog\nr{n}.wav\t2\t4\t{HOSTILE}\n"
        reference += rows
        mine += f"r{n}.wav\n" if n == 1 else rows
        other += f"r{n}.wav\n" if n in (1, 3) else rows
        frames = np.full((4, 2), 0.1 + n / 20)
        frames[1, 0] = frames[2:, 1] = 0.9
        table = ScoreTable(f"r{n}", NAMES, np.arange(5.0), frames)
        (scores / f"r{n}.tsv").write_text(table_text(table))
    for name, text in {"reference": reference, "mine": mine, "other": other}.items():
        (tmp_path / f"{name}.tsv").write_text(text)
    return Files(tmp_path / "reference.tsv", scores)


def text_of(page):
    """What a reader sees, in one line."""
    body = page.partition("<body>")[2]
    return " ".join(re.sub("<[^>]*>", " ", body).split())


def test_the_page_has_all_figures_and_curves(files):
    card = score_files(files, Choice(), num_draws=50)
    page = scorecard_page(card)
    shown = text_of(page)
    assert "Scores of scores" in shown and "On all 6 recordings, by " in shown
    for figure in card.results[0].figures:
        assert figure.quantity in page
        assert f"{figure.estimate.value:.3f}".replace("nan", "-") in shown
    for label in ("PSD-ROC of psds1[", "PSD-ROC of psds2[", "Reliability of scores"):
        assert page.count(f'aria-label="{label}') == 1
    assert "as it should be" in shown and "too narrow" in shown
    assert "Where it is most wrong Nowhere." in shown
    roc = page.partition('aria-label="PSD-ROC of psds1[')[2]
    assert 'd="M0,0"' in roc  # all is found before any false detection


def test_names_are_text_and_no_script_runs(files):
    page = scorecard_page(score_files(files, Choice(), num_draws=0))
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "script-src" not in page


def test_two_systems_are_side_by_side_where_they_disagree(files, tmp_path, capsys):
    page = tmp_path / "pages" / "page.html"
    flags = ["--reference", files.reference, "--estimated", tmp_path / "mine.tsv"]
    flags += ["--against", tmp_path / "other.tsv", "--report", page, "--draws", 20]
    main([*map(str, flags)])
    assert f"wrote {page}" in capsys.readouterr().out
    shown = text_of(page.read_text(encoding="utf-8"))
    assert "Where the systems disagree" in shown
    recordings = shown.partition("errors of 1 errors of 2 events")[2]
    assert recordings.split()[:5] == ["r3.wav", "0", "2", "there:", "Dog"]
    assert "2: nothing" in recordings and "r1.wav" not in recordings
    row = shown.partition("tagging_recall micro ")[2].split()
    assert row[0] == "0.833" and "0.667" in row[:5] and "0.167" in row[:10]
