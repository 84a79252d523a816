"""Counts of all thresholds from one pass are those of the plain functions."""

from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation import Choice, Files, placed_tables, score_files, sweep
from gcrnn_jax.evaluation import best_f1 as best_f1_module
from gcrnn_jax.evaluation.best_f1 import best_f1, sought_for_best_f1
from gcrnn_jax.evaluation.fused_scores import table_text
from gcrnn_jax.evaluation.placed_tables import Placed, over_tables
from gcrnn_jax.evaluation.sweep import Sweep
from gcrnn_jax.metrics import Collars, ScoreFolder, ScoreTable, f1_curves

NAMES = ("Bus", "Car", "Tram")


def made(num_clips, seed=0):
    """Tables of 3 s with ties, and events that many of them find."""
    rng = np.random.default_rng(seed)
    tables, reference = [], {}
    times = (np.arange(31) / 10).round(6)
    for n in range(num_clips):
        scores = rng.random((30, 3)).round(2) * 0.6
        events = []
        for k, name in enumerate(NAMES):
            for first in (2, 14) if rng.random() < 0.3 else ():
                scores[first : first + 8, k] += rng.choice([0.4, 0.6])
                ends = (first + 8 + rng.choice([0, 1])) / 10
                events.append(Event(first / 10, ends, name))
        tables.append(ScoreTable(str(n), NAMES, times, scores))
        reference[str(n)] = events
    return tables, reference


@pytest.mark.parametrize("many", [10, 1_000_000])  # 10: some thresholds are left out
@pytest.mark.parametrize("collars", [Collars(), Collars(0.1, None)])
def test_the_best_f1_is_that_of_the_curves(monkeypatch, many, collars):
    monkeypatch.setattr(best_f1_module, "_MANY", many)
    monkeypatch.setattr(best_f1_module, "_MOST", 0.5)
    tables, reference = made(40)
    sought = sought_for_best_f1(reference, NAMES, collars)
    assert (sought.most < np.inf) == (many == 10)
    [counted] = Sweep(tables, list(reference), NAMES).count([sought])
    measure = best_f1(counted, NAMES, reference, collars)
    [(_, micro), (_, macro), _] = measure.scores(np.ones((1, 40))).averages.items()
    curves = f1_curves(tables, reference, criteria=replace(collars, time_decimals=6))
    assert macro[0] == pytest.approx(curves.best_macro_f1(), abs=1e-12)
    assert micro[0] == pytest.approx(curves.best_micro().f1, abs=1e-12)
    assert np.isfinite(counted.floor).any() == (many == 10)
    assert 0.4 < macro[0] < 1


def written(folder, tables):
    (folder / "scores").mkdir()
    for table in tables:
        (folder / "scores" / f"{table.clip_id}.tsv").write_text(table_text(table))
    return folder / "scores"


def events_above(threshold, table):
    """Of a table its place and events."""
    return int(table.clip_id), table.events(threshold)


def figures_of(card):
    return [
        (f.quantity, f.average, f.estimate, f.classes) for f in card.results[0].figures
    ]


def test_large_folders_are_read_anew_and_score_the_same(tmp_path, monkeypatch):
    tables, reference = made(12)
    folder = written(tmp_path, tables[1:])  # of the first there is none
    rows = [f"{n}.wav\t{o}\t{e}\t{x}" for n, es in reference.items() for o, e, x in es]
    (tmp_path / "there.tsv").write_text("\n".join(rows))
    (durations := tmp_path / "durations.tsv").write_text(
        "".join(f"{n}.wav\t3\n" for n in reference)
    )
    files = Files(tmp_path / "there.tsv", folder, durations=durations)
    expected = figures_of(score_files(files, Choice(), num_draws=20))
    monkeypatch.setattr(placed_tables, "_LARGE_BYTES", 0)
    found = figures_of(score_files(files, Choice(), num_draws=20))
    assert str(found) == str(expected)  # nan is nan


def test_processes_read_tables_in_their_order(tmp_path, monkeypatch):
    tables, _ = made(36)
    monkeypatch.setattr(placed_tables, "_LARGE_BYTES", 0)
    monkeypatch.setattr(placed_tables, "resolve_num_workers", lambda *_: 2)
    folder = ScoreFolder(written(tmp_path, tables))
    places = {path.stem: 100 + n for n, path in enumerate(folder.paths)}
    placed = Placed(folder, places, [7], NAMES)
    found = list(over_tables(events_above, 0.9, placed))
    monkeypatch.undo()
    assert found == list(over_tables(events_above, 0.9, placed))


@pytest.mark.parametrize("spare", [0.0, 2.0])
def test_floors_rise_no_further_than_all_false_positives_allow(monkeypatch, spare):
    tables, reference = made(60)
    levels = np.random.default_rng(1).uniform(0.2, 1, len(tables))
    tables = [
        replace(one, scores=one.scores * level)
        for one, level in zip(tables, levels, strict=True)
    ]
    monkeypatch.setattr(sweep, "_MOST_NEW", 0)  # they rise after each recording
    sought = replace(sought_for_best_f1(reference, NAMES, Collars()), most=20)
    swept = Sweep(tables, list(reference), NAMES)
    [counted] = swept.count([replace(sought, spare=spare)])
    lowest, _ = swept.floors(replace(sought, spare=spare))
    for k, floor in enumerate(counted.floor):
        numbers = [0 if k in sought.by_clip[c] else 1 for c in reference]
        numbers = np.array(numbers) * [runs(t.scores[:, k] >= floor) for t in tables]
        assert floor > lowest[k]
        assert numbers.sum() - spare * np.sqrt((numbers**2).sum()) > 20
        kept = counted.steps[k]
        assert len(kept.score) and kept.score.min() > floor


def runs(is_above):
    """How many detections there are."""
    return (np.diff(np.append(0, is_above), prepend=0) > 0).sum()


def test_tables_that_are_not_there_or_twice_are_refused():
    tables, reference = made(3)
    sought = sought_for_best_f1(reference, NAMES, Collars())
    with pytest.raises(DataError, match="1 of 3 clips have no score table, first 2"):
        Sweep(tables[:2], list(reference), NAMES).count([sought])
    with pytest.raises(DataError, match="0: expected one score table, got two"):
        Sweep([*tables, tables[0]], list(reference), NAMES).count([sought])
