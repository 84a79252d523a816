"""Score tables of several systems: their mean, weights of classes, what is refused."""

import numpy as np
import pytest

from gcrnn_jax import fuse
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.evaluation.fused_scores import found_weights, open_members, table_text
from gcrnn_jax.metrics import ScoreTable, read_score_table

NAMES = ("Car", "Air horn, truck horn")
RULES = Postprocessing(0.5, 0.5, 0, 0, True, False, 1.0, 0.0, 0.0, 0.5)


def write(folder, hop_s, scores, names=NAMES, clips=("a", "b"), seconds=2.0):
    """Tables of scores [T, K] alike for all clips."""
    folder.mkdir()
    times = np.arange(round(seconds / hop_s) + 1) * hop_s
    for clip_id in clips:
        table = ScoreTable(clip_id, names, times, np.asarray(scores, float))
        (folder / f"{clip_id}.tsv").write_text(table_text(table))
    return folder


@pytest.fixture
def coarse(tmp_path):
    return write(tmp_path / "coarse", 1.0, [[0.2, 0.0], [0.6, 1.0]])


@pytest.fixture
def fine(tmp_path):
    """Other frames, names and order of classes."""
    scores = [[1.0, 0.8], [0.5, 0.6], [0.0, 0.4], [0.1, 0.2]]
    return write(tmp_path / "fine", 0.5, scores, NAMES[::-1], ("a", "b"))


def run(systems, output, *flags):
    fuse.main([*map(str, systems), "--output", str(output), *flags])
    return read_score_table(output / "a.tsv")


def test_the_mean_is_of_the_frames_of_all_systems(coarse, fine, tmp_path, capsys):
    fused = run([coarse, fine], tmp_path / "fused")
    assert fused.class_names == NAMES
    assert fused.times.tolist() == [0, 0.5, 1, 1.5, 2]
    expected = [[0.5, 0.5], [0.4, 0.25], [0.5, 0.5], [0.4, 0.55]]
    np.testing.assert_allclose(fused.scores, expected)
    assert "2 systems, 2 recordings, 2 classes" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "fused").iterdir()) == [
        "a.tsv",
        "b.tsv",
        "weights.csv",
    ]
    twice = run([coarse, fine, coarse], tmp_path / "fused")  # in place of its own
    np.testing.assert_allclose(twice.scores[0], [1.2 / 3, 1 / 3], rtol=1e-7)


def test_posteriors_are_fused_with_tables(coarse, tmp_path):
    frame = np.full((2, 2, 2), 0.5, np.float32)
    path = tmp_path / "p.npz"
    PosteriorSet(("b", "a"), NAMES, 1.0, frame[:, 0], frame, RULES).save(path)
    fused = run([coarse, path], tmp_path / "fused")
    np.testing.assert_allclose(fused.scores, [[0.35, 0.25], [0.55, 0.75]], atol=1e-6)


def test_each_class_has_the_weights_that_fit_labels_best(tmp_path, capsys):
    """One system knows Cars, the other horns; what the third says is of no use."""
    car = write(tmp_path / "car", 1.0, [[0.9, 0.1], [0.1, 0.9]])
    horn = write(tmp_path / "horn", 1.0, [[0.1, 0.9], [0.9, 0.1]])
    flat = write(tmp_path / "flat", 1.0, [[0.5, 0.5], [0.5, 0.5]])
    (labels := tmp_path / "labels.tsv").write_text(
        "a.wav\t0\t1\tCar\na.wav\t0\t1\tAir horn, truck horn\n"
    )
    members = open_members([flat, car, horn])
    weights = found_weights(members, labels)
    assert weights[:, 0].tolist() == [0, 1, 0] and weights[:, 1].tolist() == [0, 0, 1]
    fused = run([flat, car, horn], tmp_path / "f", "--labelled", str(labels))
    np.testing.assert_allclose(fused.scores, [[0.9, 0.9], [0.1, 0.1]])
    assert "look better than they are" in capsys.readouterr().out
    written = (tmp_path / "f" / "weights.csv").read_text()
    assert f'"Air horn, truck horn","{horn}",1' in written
    labels.write_text("a.wav\t0\t0\tCar\nb.wav\n")  # weak: nothing tells them apart
    assert found_weights(members, labels)[:, 1].tolist() == [pytest.approx(1 / 3)] * 3


def test_systems_that_do_not_belong_together_are_refused(coarse, tmp_path):
    one, two = [[0.1, 0.2]], [[0.1, 0.2]] * 4
    wrong = {
        "1 of 2 recordings of the first": write(tmp_path / "1", 2.0, one, clips="a"),
        "1 recordings are not in the first": write(
            tmp_path / "2", 2.0, one, clips="abc"
        ),
        "classes of the first system": write(tmp_path / "3", 2.0, one, ("Bus", "Car")),
        "one length, got 2 s and 4 s": write(tmp_path / "4", 1.0, two, seconds=4.0),
        r"scores in \[0, 1\]": write(tmp_path / "5", 2.0, [[-3.0, 2.0]]),
        "none of 1 recordings": write(tmp_path / "6", 2.0, one, clips="x"),
    }
    for message, folder in wrong.items():
        with pytest.raises(DataError, match=message):
            run([coarse, folder], tmp_path / "fused")
        assert not (tmp_path / "fused").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(ConfigError, match="is there, and not of fuse"):
        run([coarse], tmp_path / "mine")
    with pytest.raises(ConfigError, match="expected a folder of score tables"):
        run([coarse, tmp_path / "nowhere"], tmp_path / "fused")
    with pytest.raises(ConfigError, match="are of runs, not of scores"):
        run([coarse], tmp_path / "fused", "--choose", "held_out")
    with pytest.raises(ConfigError, match="--labelled is of folders"):
        run([tmp_path / "a.npz"], tmp_path / "fused", "--labelled", "x")
