"""Members of an ensemble: chosen on one split, fused on another."""

import json

import numpy as np
import pytest

from gcrnn_jax import fuse
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.runs import choose_runs, fusion
from gcrnn_jax.training import parallel
from gcrnn_jax.training.fusion import Fusion

PLAIN = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.0, 0.5)
LABEL = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)


class Part:
    name, clip_ids, weak_label = "held_out", tuple("abcd"), LABEL


def posteriors(clip):
    clip = np.asarray(clip, np.float32)
    return PosteriorSet(Part.clip_ids, ("Car", "Bus"), 1.0, clip, clip[:, None], PLAIN)


def test_runs_are_chosen_by_what_they_say_of_the_split(tmp_path, monkeypatch):
    systems = {"good": LABEL * 1.0, "bad": 1.0 - LABEL}
    for name in systems:
        (tmp_path / name).mkdir()

    def fuse_epochs(folder, *, epochs, split):
        assert (epochs, split) == (Fusion.parse("3"), "held_out")
        return posteriors(systems[folder.name]), Part()

    monkeypatch.setattr(fusion, "fuse_epochs", fuse_epochs)
    runs = [tmp_path / "bad", tmp_path / "good"]
    chosen = choose_runs(runs, epochs=Fusion.parse("3"), split="held_out")
    assert chosen == [tmp_path / "good"]


def test_runs_that_held_out_other_clips_are_refused(tmp_path, monkeypatch):
    class Other(Part):
        clip_ids = tuple("abce")

    parts = iter([Part(), Other()])
    monkeypatch.setattr(
        fusion, "fuse_epochs", lambda *_, **__: (posteriors(LABEL), next(parts))
    )
    with pytest.raises(DataError, match="another held_out than .*clip 4 is 'e'"):
        choose_runs([tmp_path, tmp_path], split="held_out")


@pytest.mark.parametrize("name", ["a.npz", "nowhere"])
def test_members_are_chosen_among_runs_only(tmp_path, name):
    (tmp_path / "a.npz").touch()
    with pytest.raises(ConfigError, match=rf"folders of runs: .*{name} is"):
        choose_runs([tmp_path / name], split="held_out")


def test_held_out_clips_choose_and_others_are_fused(commands, data_folder, tmp_path):
    root = data_folder(training=12, validation=6)
    fields = (*commands.SMALLEST, f"--config.data.root={root}")
    fields = (*fields, "--config.data.held_out=0.25")
    run, output = tmp_path / "run", tmp_path / "fused.npz"
    trained = commands.main(run, *fields)
    assert trained.returncode == 0, trained.stderr
    assert "held out of training: 3 clips" in trained.stdout
    data = json.loads((run / "data.json").read_text())
    assert data["clips"] == 9

    flags = (run, run, "--choose=held_out", f"--output={output}")
    chosen = commands.run(*flags, module="gcrnn_jax.fuse")
    assert chosen.returncode == 0, chosen.stderr
    assert f"1 x {run}" in chosen.stdout
    assert f"wrote {output}: 1 systems, 6 clips, 3 classes" in chosen.stdout
    assert len(PosteriorSet.load(output).clip_ids) == 6

    flags = (run, "--choose=validation", f"--output={output}")
    wrong = commands.run(*flags, module="gcrnn_jax.fuse")
    assert wrong.returncode == 2 and "look better on it" in wrong.stderr


def test_a_fusion_that_fails_writes_nothing_and_then_all(
    tmp_path, monkeypatch, fails_at
):
    monkeypatch.setattr(parallel, "configure_jax", lambda: None)
    (tmp_path / "run").mkdir()
    with fails_at("fuse.system:raise"):
        fusion.fuse_epochs(tmp_path / "run", epochs=None, split=None)
    posteriors(LABEL * 0.5).save(tmp_path / "a.npz")
    line = [str(tmp_path / "a.npz"), "--output", str(tmp_path / "fused.npz")]
    with fails_at("fuse.write:raise"):
        fuse.main(line)
    assert not (tmp_path / "fused.npz").exists()
    fuse.main(line)
    assert (PosteriorSet.load(tmp_path / "fused.npz").clip == LABEL * 0.5).all()
