import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.detection.calibration import Calibrator, Probabilities
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.exporting import export_model
from gcrnn_jax.exporting.exported_model import ExportedModel
from gcrnn_jax.prediction import formats, loading
from gcrnn_jax.prediction.ensemble import ScoredEvent
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.prediction.posteriors import CLIP, FRAME, RecordingPosteriors
from gcrnn_jax.prediction.recordings import Recording
from gcrnn_jax.prediction.stream import stream_posteriors
from gcrnn_jax.runs import load_model as load_trained
from gcrnn_jax.runs import read_card_and_variables
from gcrnn_jax.training.augment import standardize
from tests import defaults
from tests.prediction.conftest import NAMES, save_random, sounds
from tests.prediction.loudness import (
    HOP_S,
    blocks_of,
    frames_of,
    loudness_ensemble,
    loudness_model,
)


@pytest.mark.parametrize("seconds", [0.1, 3.0, 9.99])
def test_a_short_recording_has_the_posteriors_of_one_clip(run, ensemble, seconds):
    waveform, front_end = sounds(seconds), ensemble.models[0].front_end
    prediction = ensemble.predict(waveform, 16000)

    card, variables = read_card_and_variables(run)
    network = card.config.model.clone(num_classes=3)
    padded = np.zeros((1, 240, 64), np.float16)
    features = front_end(waveform)
    padded[0, : len(features)] = features
    scaled, mask = standardize(padded, np.array([len(features)]), card.scaler)
    expected = jax.jit(network.apply)(variables, scaled, mask)
    num_frames = -(-len(features) // 2)
    assert prediction.frame.shape == (num_frames, 3) and prediction.hop_s == 2 * HOP_S
    np.testing.assert_allclose(
        prediction.frame, expected.frame[0, :num_frames], atol=1e-5
    )
    np.testing.assert_allclose(prediction.clip, expected.clip[0], atol=1e-5)
    assert prediction.clip.dtype == np.float32
    assert prediction.frame.std() > 0.01  # or any answer would do


def test_results_do_not_depend_on_blocks_or_batches(run, ensemble):
    waveform = sounds(33.3)
    (whole,) = ensemble.posteriors([blocks_of(waveform, 10**9)])
    assert whole.num_frames == 401 and whole.duration_s == pytest.approx(33.3)
    for system_, size in ((ensemble, 777), (load_model(run, batch_size=8), 50001)):
        (other,) = system_.posteriors([blocks_of(waveform, size)])
        np.testing.assert_allclose(frames_of(other), frames_of(whole), atol=1e-5)
        np.testing.assert_allclose(other.peak[CLIP], whole.peak[CLIP], atol=1e-5)


def test_recordings_that_share_batches_do_not_touch_each_other(ensemble):
    waveforms = [sounds(s, seed=i) for i, s in enumerate((2, 25, 0.5, 11, 4, 13))]
    together = list(ensemble.posteriors([blocks_of(w, 30000) for w in waveforms]))
    for waveform, one in zip(waveforms, together, strict=True):
        (alone,) = ensemble.posteriors([blocks_of(waveform, 30000)])
        np.testing.assert_allclose(frames_of(one), frames_of(alone), atol=1e-5)
        assert one.duration_s == alone.duration_s == len(waveform) / 16000


def test_a_recording_that_breaks_off_gives_what_there_is(ensemble):
    def broken(_):
        yield waveform[:100000]
        raise Rejected("CORRUPT", "after 6.25 s")

    def refused(_):
        yield waveform[:100000]
        raise Rejected("NONFINITE", "sample 100000")

    waveform = sounds(12)
    good, start = blocks_of(waveform, 30000), blocks_of(waveform[:100000], 30000)
    found = list(ensemble.posteriors([broken, good, refused, broken, start]))
    codes = [getattr(one, "code", None) for one in found]
    assert codes == [None, None, "NONFINITE", None, None]
    faults = [one.fault and str(one.fault) for i, one in enumerate(found) if i != 2]
    assert faults == ["CORRUPT: after 6.25 s", None, "CORRUPT: after 6.25 s", None]
    assert found[0].duration_s == 6.25
    (alone,) = ensemble.posteriors([good])
    np.testing.assert_allclose(frames_of(found[1]), frames_of(alone), atol=1e-5)
    for one in (found[0], found[3]):
        np.testing.assert_allclose(frames_of(one), frames_of(found[4]), atol=1e-5)


def test_scores_have_the_probability_of_the_models_card():
    clip = Calibrator(bias=(0.0, 1.0, 0.0), slope=(1.0, 2.0, 1.0))
    frame = Calibrator(bias=(0.0, 0.0, -1.0), slope=(1.0, 1.0, 0.5))
    found = [ScoredEvent(0, 2, NAMES[1], 0.5), ScoredEvent(1, 2, NAMES[2], 0.8)]
    model = loudness_model()

    def probabilities(part, *cards):
        models = [SimpleNamespace(**{**vars(model), "probabilities": c}) for c in cards]
        rows = loudness_ensemble(*models).with_probability(found, part)
        assert [row[:4] for row in rows] == found
        return [row[4] for row in rows]

    both = Probabilities(clip, frame)
    e = np.e
    expected = [e / (1 + e), 0.8]  # logit 1 + 2 * 0, and as it is
    np.testing.assert_allclose(probabilities(CLIP, both), expected)
    expected = [0.5, 2 / (2 + e)]  # the logit of 0.8 is log 4: -1 + log 2
    np.testing.assert_allclose(probabilities(FRAME, both), expected)
    nothing = [None, None]
    assert probabilities(FRAME, Probabilities(clip, None)) == nothing
    assert probabilities(CLIP, None) == probabilities(CLIP, both, both) == nothing


def test_several_models_are_fused_on_the_finest_frames():
    coarse = loudness_model(reduction=2)
    fine = loudness_model(defaults.front_end(kind="mfcc"))
    waveform = sounds(21)
    both = loudness_ensemble(coarse, fine).predict(waveform, 16000)
    one, two = (loudness_ensemble(m).predict(waveform, 16000) for m in (coarse, fine))
    assert both.hop_s == two.hop_s == HOP_S
    places = np.minimum(np.arange(len(two.frame)) // 2, len(one.frame) - 1)
    mean = (one.frame[places] + two.frame) / 2
    np.testing.assert_allclose(both.frame, mean, atol=1e-5)
    assert both.clip.dtype == np.float32


def test_short_recordings_share_batches():
    calls, model = [], loudness_model()
    predict_batch = model.predict_batch

    def counted(features, num_frames):
        calls.append(len(features))
        return predict_batch(features, num_frames)

    model.predict_batch = counted
    recordings = [blocks_of(sounds(1, seed), 9000) for seed in range(8)]
    assert len(list(loudness_ensemble(model).posteriors(recordings))) == 8
    assert calls == [4, 4]


def test_models_of_other_classes_are_not_fused(monkeypatch):
    def load(path, batch_size):
        names = NAMES if path == Path("here") else ("Car", "Tram", "Train")
        return SimpleNamespace(class_names=names, postprocessing=None)

    monkeypatch.setattr(loading, "_load_one", load)
    with pytest.raises(DataError, match="elsewhere has other classes.*'Tram'.*'Bus'"):
        load_model("here", "elsewhere")


def test_a_place_without_a_model_is_named(run):
    with pytest.raises(DataError, match="holds no model"):
        load_model(run / "nothing")


def test_thresholds_can_be_chosen(ensemble):
    chosen = ensemble.with_thresholds(event_threshold=0.9)
    assert chosen.postprocessing.event_threshold == 0.9
    assert chosen.postprocessing.gap_s == ensemble.postprocessing.gap_s
    assert chosen.content_hash != ensemble.content_hash
    with pytest.raises(ConfigError, match="event_threshold"):
        ensemble.with_thresholds(event_threshold=1.5)


def test_a_content_hash_tells_models_apart(run, ensemble):
    again, other = load_model(run / "averaged"), load_model(run / "checkpoints/2")
    assert again.content_hash == ensemble.content_hash != other.content_hash


def test_files_have_the_posteriors_of_their_waveforms(ensemble, tmp_path):
    waveform = sounds(23)
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")
    model = ensemble.models[0]
    read = partial(stream_waveform, tmp_path / "a.wav")
    (one,) = stream_posteriors(model, [read])
    assert isinstance(one, RecordingPosteriors) and one.num_parts == 2
    (expected,) = ensemble.posteriors([blocks_of(waveform, 10**9)])
    np.testing.assert_allclose(frames_of(one), frames_of(expected), atol=1e-6)


def test_a_picture_of_hours_is_drawn_in_few_columns(monkeypatch, tmp_path):
    drawn = {}

    def draw(features, names, posteriors, hop_s, events, **options):
        drawn.update(features=features, posteriors=posteriors, hop_s=hop_s, **options)
        drawn["events"] = events

    monkeypatch.setattr(formats, "draw", draw)
    monkeypatch.setattr(formats, "picture_png", lambda figure: b"png")
    monkeypatch.setattr(formats, "MAX_COLUMNS", 50)
    waveform, ensemble = sounds(30), loudness_ensemble()
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")
    recording = Recording("a", str(tmp_path / "a.wav"))
    (posteriors,) = ensemble.posteriors([blocks_of(waveform, 20000)])
    record = formats.Record("a", 30.0, {}, [], [[1.0, 2.0, "Car", 0.5]])
    output = formats.Output(recording, record, ensemble, posteriors)
    assert formats.picture(output) == [b"png"]
    frames = defaults.front_end().log_mel(waveform)
    assert len(frames) == 722 and drawn["feature_hop_s"] == pytest.approx(15 * HOP_S)
    assert drawn["hop_s"] == pytest.approx(15 * HOP_S)
    means = frames[:720].reshape(48, 15, 64).mean(1)
    np.testing.assert_allclose(drawn["features"][:48], means, atol=1e-5)
    np.testing.assert_allclose(drawn["features"][48], frames[720:].mean(0), atol=1e-5)
    greatest = frames_of(posteriors)[:720].reshape(48, 15, 3).max(1)
    np.testing.assert_allclose(drawn["posteriors"][:48], greatest, atol=1e-6)
    assert drawn["attention"] is None and drawn["title"] == "a"
    assert drawn["events"] == [Event(1.0, 2.0, "Car")]


def test_attention_is_there_if_asked_for(ensemble):
    without = dataclasses.replace(ensemble, with_attention=False)
    short, long = (ensemble.predict(sounds(n), 16000) for n in (9.9, 25))
    expected = without.predict(sounds(9.9), 16000)
    np.testing.assert_allclose(short.frame, expected.frame, atol=1e-6)
    assert short.attention.shape == short.frame.shape
    # of one window: the clip is the mean of its frames, weighted by attention
    share = short.attention / short.attention.sum(0)
    np.testing.assert_allclose((share * short.frame).sum(0), short.clip, atol=1e-5)
    assert long.attention.shape == long.frame.shape and (long.attention > 0).all()
    assert expected.attention is None
    models = (
        *ensemble.models,
        loudness_model(),
    )  # which gives none, like an exported one
    fused = dataclasses.replace(ensemble, models=models)
    assert fused.predict(sounds(9.9), 16000).attention is None


def test_a_program_that_knows_no_padding_gets_none():
    def program(features):  # a padded frame would change all posteriors of its row
        mean = features.mean((1, 2))[:, None]
        return mean * [1, 2], features[:, ::2].mean(2)[..., None] * [1, 2] + mean[
            ..., None
        ]

    features = np.random.default_rng(0).random((3, 10, 4))
    features[1, 7:] = 0
    model = ExportedModel(*[None] * 3, program, 3, HOP_S, 1, "hash")
    clip, frame, _ = model.predict_batch(features, np.array([10, 7, 10]))
    for row, num_frames in enumerate((10, 7, 10)):
        alone = program(features[row : row + 1, :num_frames])
        np.testing.assert_allclose(clip[row], alone[0][0])
        kept = -(-num_frames // 2)
        np.testing.assert_allclose(frame[row, :kept], alone[1][0])
        assert not frame[row, kept:].any()


def test_an_exported_model_predicts_what_its_original_does(tmp_path):
    fields = {"kind": "mlp", "hidden": [6], "context_frames": 5}
    fields |= {"dropout": 0.2, "median_frames": 27}
    original = save_random(tmp_path / "mlp", model=fields)
    output = tmp_path / "exported"
    export_model(load_trained(original), output, ["stablehlo"])
    exported, expected = (load_model(p, batch_size=4) for p in (output, original))
    assert exported.content_hash != expected.content_hash
    for seconds in (3.3, 27.0):
        one, other = (e.predict(sounds(seconds), 16000) for e in (exported, expected))
        assert one.hop_s == pytest.approx(other.hop_s) and other.frame.std() > 0.01
        np.testing.assert_allclose(one.frame, other.frame, atol=1e-5)
        np.testing.assert_allclose(one.clip, other.clip, atol=1e-5)


def returning(clip, frame):
    """A model with these posteriors everywhere."""
    model = loudness_model()
    shape = model.batch_size, model.front_end.num_frames, 3

    def predict_batch(features, num_frames):
        return np.full(shape[::2], clip), np.full(shape, frame), None

    return SimpleNamespace(**vars(model) | {"predict_batch": predict_batch})


@pytest.mark.parametrize(
    ("clip", "frame"), [(np.nan, 0.5), (0.5, np.inf), (1.1, 0.5), (0.5, -0.1)]
)
def test_posteriors_that_are_none_reject_the_recording(clip, frame):
    ensemble = loudness_ensemble(returning(clip, frame))
    one, other = ensemble.posteriors([blocks_of(sounds(25.0), 9000)] * 2)
    assert isinstance(one, Rejected) and one.args[0] == "POSTERIORS" == other.args[0]


def test_nothing_passes_a_threshold_of_one():
    above = np.nextafter(np.float32(1), np.float32(2))  # by rounding
    ensemble = loudness_ensemble(returning(above, above))
    assert len(ensemble.predict(sounds(2.0), 16000).tags) == 3
    sure = ensemble.with_thresholds(tag_threshold=1.0, event_threshold=1.0)
    prediction = sure.predict(sounds(2.0), 16000)
    assert (prediction.tags, prediction.events) == ([], [])
