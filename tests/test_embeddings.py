"""One of our own exported models as front end, from its export to predictions."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
import soundfile

from gcrnn_jax.config import Config, load_config
from gcrnn_jax.data.manifest import write_sealed
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.exporting.stablehlo import features_function
from gcrnn_jax.prediction import formats
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.runs import Run, configure_start
from gcrnn_jax.runs import load_model as load_trained
from tests.conftest import make_folder
from tests.onnx_models import framing

LAPTOP = (  # log-mel frames of configs/laptop.py, on which the trunk was trained
    "--config.front_end.window_length=2048",
    "--config.front_end.hop_length=1328",
)
SMALL = (
    "--config=configs/embeddings.py",
    "--config.front_end.clip_s=1.2",
    "--config.data.num_workers=0",
    "--config.sampling.batch_size=8",
    "--config.training.steps_per_epoch=2",
    "--config.training.num_epochs=2",
    "--config.fusion.epochs=1:2:1",
)


@pytest.fixture(scope="module")
def trunk(commands, finished_run, tmp_path_factory):
    """The graph of the tiny run, log-mel frames to posteriors."""
    folder = tmp_path_factory.mktemp("trunk") / "exported"
    flags = ("--output", folder, "--formats=onnx")
    done = commands.run(finished_run.workdir, *flags, module="gcrnn_jax.export")
    assert done.returncode == 0, done.stderr
    return folder / "model.onnx"


def train(commands, workdir, path, *flags):
    place = (f"--config.front_end.path={path}", f"--workdir={workdir}")
    return commands.run(
        *SMALL, *LAPTOP, *place, "--config.front_end.output=frame", *flags
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Recordings of 0.3 to 1.2 s."""
    folder = tmp_path_factory.mktemp("data") / "set"
    return make_folder(folder, {"training": 9, "testing": 6})


@pytest.fixture(scope="module")
def run(commands, trunk, root, tmp_path_factory):
    """A run on the trunk's posteriors, moved with its own copy of the trunk alone."""
    folder = tmp_path_factory.mktemp("runs")
    path = shutil.copy(trunk, folder / "trunk.onnx")
    done = train(commands, folder / "before", path, f"--config.data.root={root}")
    assert done.returncode == 0, done.stderr
    (folder / "trunk.onnx").unlink()
    moved = shutil.move(folder / "before", folder / "moved")
    return Run.open(moved), done.stdout


def test_a_start_from_it_needs_no_path_counts_frames_anew_and_goes_on(run, tmp_path):
    start, folder = run[0], tmp_path / "run"
    flags = {"training.start_from": str(start.folder), "front_end.clip_s": 0.6}
    config = load_config("embeddings", **flags)
    begun, line = configure_start(Run(folder, config))
    assert line == "front end of the model, of kind onnx"
    theirs, own = start.config.front_end, begun.config.front_end
    waveform = np.zeros(own.clip_length, np.float32)
    assert own.clip_s == 0.6 and len(own(waveform)) == own.num_frames
    assert 0 < own.num_frames < theirs.num_frames
    assert own.of_clips(theirs.clip_s) == theirs
    # once something is saved, start.json and the copy beside it are what it goes on by
    folder.mkdir()
    begun.write_config()
    card = load_trained(start.folder).card
    write_sealed(begun.start, {"card": card.to_dict()})
    begun.scores.touch()
    again, _ = configure_start(Run(folder, config))
    assert again.config.front_end == own and again.config.front_end.files()
    again.check_config()


def test_features_are_the_posteriors_of_the_trunk(run, finished_run, root):
    one, printed = run
    path = printed.split("features in ")[1].splitlines()[0]
    split = FeatureStore.open(path).splits["testing"]
    for row, clip_id in enumerate(split.clip_ids):
        [path] = root.glob(f"audio/testing/Y{clip_id}*")
        waveform, _ = soundfile.read(path, dtype="float32")
        features = one.config.front_end(waveform)
        stored = split.rows([row])[0, : split.num_frames[row]]
        np.testing.assert_array_equal(stored, features.astype(np.float16))
    model = load_trained(finished_run.workdir)
    log_mel = model.front_end.log_mel(waveform)[None]
    _, expected = jax.jit(features_function(model))(log_mel)
    np.testing.assert_allclose(features, expected[0], atol=1e-5)
    assert np.ptp(features) > 1e-3


def test_a_run_that_moved_predicts_and_exports_with_its_own_copy(
    run, commands, tmp_path
):
    one, _ = run
    noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 23)
    soundfile.write(tmp_path / "long.wav", noise, 16000)
    expected = load_model(one.folder).predict(noise, 16000)
    num_frames = (len(noise) - 2048) // 1328 + 1  # of log-mels; the trunk merges two
    assert expected.frame.shape == (-(-num_frames // 2), 3)
    assert load_model(one.models / "4").predict(noise, 16000).hop_s == 0.166
    alone = shutil.copytree(one.averaged, tmp_path / "alone")
    again = load_model(alone).predict(noise, 16000)
    np.testing.assert_array_equal(again.frame, expected.frame)
    flags = (alone, "--output", tmp_path / "exported")
    done = commands.run(*flags, module="gcrnn_jax.export")
    assert done.returncode == 0, done.stderr
    exported = load_model(tmp_path / "exported").predict(noise, 16000)
    np.testing.assert_allclose(exported.frame, expected.frame, atol=1e-5)
    np.testing.assert_allclose(exported.clip, expected.clip, atol=1e-5)


def test_pictures_are_of_log_mel_frames_in_the_time_of_the_recording(
    run, root, commands, monkeypatch, tmp_path
):
    """Which are twice as many as the frames of features, or one less."""
    one, _ = run
    recordings = sorted(root.glob("audio/testing/*.wav"))
    hop_s, widths = 1328 / 16000, set()
    for path in recordings:
        num_samples = soundfile.info(path).frames
        num_mels = (num_samples - 2048) // 1328 + 1
        seconds = max(-(-num_mels // 2) * 2 * hop_s, num_samples / 16000)
        widths.add(round(100 * num_mels * hop_s / seconds, 2))
    [page] = one.folder.glob("results/*/report.html")
    found = re.findall(r'<image href="data:[^"]*" width="([\d.]+)%"', page.read_text())
    assert found and set(map(float, found)) <= widths

    drawn = {}

    def draw(features, *_, **options):
        drawn.update(options, shape=features.shape)

    monkeypatch.setattr(formats, "draw", draw)
    monkeypatch.setattr(formats, "picture_png", lambda figure: b"png")
    flags = ("--formats=plot", "--output", tmp_path / "found")
    done = commands.run(one.folder, recordings[0], *flags, module="gcrnn_jax.predict")
    assert done.returncode == 0, done.stderr
    num_samples = soundfile.info(recordings[0]).frames
    assert drawn["shape"] == ((num_samples - 2048) // 1328 + 1, 64)
    assert drawn["feature_hop_s"] == hop_s


def test_averaged_weights_take_the_trunk_along(run, commands, trunk, tmp_path):
    one, _ = run
    flags = ("--epochs=1:2:1", "--output", tmp_path / "mean")
    module = "gcrnn_jax.average_checkpoints"
    done = commands.run(one.folder, *flags, module=module)
    assert done.returncode == 0, done.stderr
    copies = [folder / "front_end.onnx" for folder in (tmp_path / "mean", one.averaged)]
    for copy in (*copies, one.folder / "front_end.onnx"):
        assert copy.read_bytes() == trunk.read_bytes()


def test_a_run_goes_on_from_another_path_and_not_with_another_model(
    run, commands, trunk, root, tmp_path
):
    one, _ = run
    data = f"--config.data.root={root}"
    done = train(commands, one.folder, trunk, data, "--config.training.num_epochs=3")
    assert done.returncode == 0 and "continuing" in done.stdout, done.stderr
    other = framing(tmp_path / "other.onnx")
    done = train(commands, one.folder, other, data, "--config.front_end.output=out")
    assert done.returncode == 2 and "front_end.sha256: " in done.stderr


def test_a_configuration_is_written_as_it_is_read(tmp_path):
    path = framing(tmp_path / "m.onnx")
    config = load_config("embeddings", **{"front_end.path": path})
    written = json.loads(json.dumps(config.to_dict()))
    assert written["front_end"]["path"] == path
    assert Config.from_dict(written) == config
    (tmp_path / "m.onnx").unlink()  # what is written needs no model
    assert Config.from_dict(written) == config


def test_prepare_computes_the_features_of_a_model(commands, tmp_path):
    root = make_folder(tmp_path / "set", {"training": 3, "testing": 2})
    flags = ("--config=embeddings", "--onnx", framing(tmp_path / "m.onnx"))
    places = (f"--root={root}", f"--output={tmp_path / 'store'}")
    done = commands.run(*flags, *places, module="gcrnn_jax.prepare")
    assert done.returncode == 0, done.stderr
    assert "features: 499 frames of 5 values a clip, one every 0.02 s" in done.stdout
    store = FeatureStore.open(tmp_path / "store")
    assert (store.front_end.kind, store.front_end.num_bins) == ("onnx", 5)
    missing = ("--config=embeddings", f"--root={root}")
    done = commands.run(*missing, module="gcrnn_jax.prepare")
    assert done.returncode == 2 and "front_end.path: expected an ONNX" in done.stderr
