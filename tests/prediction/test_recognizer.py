import dataclasses
import json

import jax
import numpy as np
import pytest
import soundfile
from gcrnn_jax.prediction.model import TrainedModel, tracks_of
from gcrnn_jax.prediction.recognizer import Recognizer
from gcrnn_jax.prediction.track import FRAME, Track

from configs import sed
from gcrnn_jax import system
from gcrnn_jax.audio.decode import Rejected, stream_waveform
from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.predict import load_model
from gcrnn_jax.prediction import plot
from gcrnn_jax.prediction import recognizer as recognizer_module
from gcrnn_jax.training.augment import standardize
from gcrnn_jax.training.checkpoints import Model, save_model
from tests import defaults

NAMES = ("Car", "Bus", "Train")
HOP_S = 0.0415


def save_random(path, seed=0, front_end=None, **fields):
    """Writes a small network with random weights that hears differences."""
    config = json.loads(sed.get_config().to_json())
    small = {"blocks": (1, 1, 1, 1), "filters": 4, "last_filters": 8, "rnn_units": 4}
    config["model"] = {**config["model"], **small, **fields}
    config["front_end"] = {**config["front_end"], **(front_end or {})}
    front_end = defaults.front_end(**config["front_end"])
    network = system.make_model(config["model"], 3)
    features = np.zeros((1, front_end.num_frames, front_end.num_bins), np.float32)
    variables = network.init(jax.random.key(seed), features)
    louder = jax.tree.map(lambda x: 4 * np.asarray(x), variables["params"])
    card = {
        "format": "gcrnn_jax model 1",
        "config": config,
        "front_end": front_end.as_dict(),
        "classes": {"ids": ["/m/1", "/m/2", "/m/3"], "names": list(NAMES)},
        "scaler": {
            "mean": [-8.0] * front_end.num_bins,
            "std": [4.0] * front_end.num_bins,
        },
        "hop_s": front_end.hop_s,
        "postprocessing": config["postprocessing"],
    }
    statistics = jax.tree.map(np.asarray, variables["batch_stats"])
    save_model(path, Model(card, {"params": louder, "batch_stats": statistics}))
    return path


def sounds(seconds, seed=0):
    """Noise whose loudness and colour change every few tenths of a second."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * 16000:
        noise = rng.standard_normal(rng.integers(2000, 12000))
        kernel = rng.standard_normal(8) * 10 ** rng.uniform(-3, -1)
        parts.append(np.convolve(noise, kernel, mode="same"))
    return np.concatenate(parts)[: round(seconds * 16000)].astype(np.float32)


def blocks_of(waveform, size):
    return lambda _: (waveform[i : i + size] for i in range(0, len(waveform), size))


def frames_of(track):
    return np.concatenate(list(track.blocks()))[:, FRAME]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save_random(
        tmp_path_factory.mktemp("model") / "one", time_pooling=(2, 1, 1, 1)
    )


@pytest.fixture(scope="module")
def recognizer(path):
    return load_model(path, batch_size=4)


@pytest.mark.parametrize("seconds", [0.1, 3.0, 9.99])
def test_a_short_recording_gets_what_the_network_says_of_the_clip(
    path, recognizer, seconds
):
    waveform = sounds(seconds)
    model = recognizer.models[0]
    found = recognizer.predict(waveform, 16000)

    card, variables = system_model(path)
    network = system.make_model(card["config"]["model"], 3)
    padded = np.zeros((1, 240, 64), np.float16)
    features = model.front_end(waveform)
    padded[0, : len(features)] = features
    scaler = system.make_scaler(card["scaler"]["mean"], card["scaler"]["std"])
    scaled, mask = standardize(padded, np.array([len(features)]), scaler)
    expected = network.apply(variables, scaled, mask)
    num_frames = -(-len(features) // 2)
    assert found.frame.shape == (num_frames, 3) and found.hop_s == 2 * HOP_S
    np.testing.assert_allclose(found.frame, expected.frame[0, :num_frames], atol=1e-5)
    np.testing.assert_allclose(found.clip, expected.clip[0], atol=1e-5)
    assert found.frame.std() > 0.01  # or any answer would do


def system_model(path):
    from gcrnn_jax.training.checkpoints import load_model

    return load_model(path)


def test_results_do_not_depend_on_blocks_or_batches(path, recognizer):
    waveform = sounds(33.3)
    (whole,) = recognizer.tracks([blocks_of(waveform, 10**9)])
    assert whole.num_frames == 401 and whole.duration_s == pytest.approx(33.3)
    for batch_size, size in ((4, 777), (8, 16000), (16, 50001)):
        other = load_model(path, batch_size=batch_size)
        (track,) = other.tracks([blocks_of(waveform, size)])
        np.testing.assert_allclose(frames_of(track), frames_of(whole), atol=1e-5)
        np.testing.assert_allclose(track.clip_peak, whole.clip_peak, atol=1e-5)


def test_recordings_that_share_batches_do_not_touch_each_other(recognizer):
    waveforms = [sounds(s, seed=i) for i, s in enumerate((2, 25, 0.5, 11, 4, 13))]
    together = list(recognizer.tracks([blocks_of(w, 30000) for w in waveforms]))
    for waveform, track in zip(waveforms, together, strict=True):
        (alone,) = recognizer.tracks([blocks_of(waveform, 30000)])
        np.testing.assert_allclose(frames_of(track), frames_of(alone), atol=1e-5)
        assert track.duration_s == alone.duration_s == len(waveform) / 16000


def test_a_recording_that_breaks_off_leaves_the_others(recognizer):
    def broken(_):
        yield sounds(14)
        raise Rejected("CORRUPT", "after 14 s")

    waveform = sounds(12)
    good, short = blocks_of(waveform, 30000), blocks_of(waveform[:1000], 30000)
    found = list(recognizer.tracks([broken, good, short, broken, good]))
    codes = [getattr(one, "code", None) for one in found]
    assert codes == ["CORRUPT", None, "TOO_SHORT", "CORRUPT", None]
    assert found[2].detail == "1000 samples at 16000 Hz, expected 1024 or more"
    (alone,) = recognizer.tracks([good])
    for track in (found[1], found[4]):
        np.testing.assert_allclose(frames_of(track), frames_of(alone), atol=1e-5)


def hearing(front_end=None, *, merged=1, silent=()):
    """A model whose posteriors are those of each frame alone: how loud it is."""
    front_end = front_end or defaults.front_end()

    def of_batch(features, num_frames):
        loud = 1 / (1 + np.exp(-(features.astype(float).mean(-1) + 6)))
        loud = loud.reshape(len(loud), -1, merged).max(-1)[..., None]
        frame = loud * [1.0, 0.5, 0.0]
        return np.ones((len(features), 3)), frame

    decide = Postprocessing(
        tag_threshold=0.5,
        event_threshold=0.3,
        gap_s=0.1,
        min_event_s=0.1,
        require_clip_tag=True,
        at_least_one_tag=False,
        hysteresis=1.0,
        median_s=0.0,
    )
    model = TrainedModel(
        front_end,
        NAMES,
        front_end.hop_s * merged,
        merged,
        decide,
        "loud",
        4,
        of_batch,
    )
    return Recognizer((model,), decide)


@pytest.mark.parametrize("merged", [1, 2, 4])
def test_seams_leave_no_trace(merged):
    waveform = sounds(47.7)
    recognizer = hearing(merged=merged)
    (track,) = recognizer.tracks([blocks_of(waveform, 20000)])
    features = defaults.front_end().log_mel(waveform).astype(np.float16)
    features = features[: len(features) // merged * merged]
    expected = recognizer.models[0].of_batch(features[None], None)[1][0]
    found = frames_of(track)[: len(expected)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_event_across_seams_is_one_event():
    waveform = 1e-4 * np.random.default_rng(0).standard_normal(60 * 16000)
    waveform[4 * 16000 : 41 * 16000] *= 1000
    found = hearing().predict(waveform, 16000)
    (event,) = [one.event for one in found.events if one.event.event_label == "Car"]
    assert abs(event.onset - 4) < 2 * HOP_S and abs(event.offset - 41) < 2 * HOP_S


def test_rates_and_channels_of_a_waveform_are_the_users_affair():
    loud = 0.3 * np.random.default_rng(0).standard_normal(44100 * 3)
    waveform = np.concatenate([np.zeros(44100 * 4), loud])
    stereo = np.stack([waveform, waveform], axis=1)
    found = hearing().predict(stereo, 44100)
    assert found.tags[0].event == Event(0.0, 7.0, "Car")
    event = found.events[0].event
    assert event.event_label == "Car" and abs(event.onset - 4) < 2 * HOP_S
    mono = hearing().predict(waveform.astype(np.float32), 44100)
    np.testing.assert_allclose(found.frame, mono.frame, atol=1e-6)


@pytest.mark.parametrize(
    "waveform", [np.zeros(16000, np.int16), np.zeros((2, 3, 16000)), np.float64(0.5)]
)
def test_what_is_no_waveform_is_refused(waveform):
    with pytest.raises(ValueError, match="floats \\[samples\\]"):
        hearing().predict(waveform, 16000)


@pytest.mark.parametrize("rate", [float("nan"), 0, -16000, "16000", None])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="rate_hz must be a positive number"):
        hearing().predict(np.zeros(16000), rate)


def test_a_waveform_is_heard_in_blocks(monkeypatch):
    stereo = np.stack([sounds(12), sounds(12, 1)], axis=1)
    whole = hearing().predict(stereo, 22050)
    monkeypatch.setattr(recognizer_module, "_BLOCK_LENGTH", 997)
    blocks = hearing().predict(stereo, np.int64(22050))
    np.testing.assert_allclose(blocks.frame, whole.frame, atol=1e-6)
    assert blocks.events == whole.events


def test_a_waveform_with_nothing_to_hear_is_refused():
    with pytest.raises(DataError, match="TOO_SHORT: 0 samples"):
        hearing().predict(np.zeros(0), 16000)
    with pytest.raises(ValueError, match="no channel"):
        hearing().predict(np.zeros((16000, 0)), 16000)
    with pytest.raises(DataError, match="not finite at sample 7000"):
        hearing().predict(np.where(np.arange(16000) < 7000, 0, 1e300), 16000)
    with pytest.raises(DataError, match="TOO_SHORT: 1000 samples"):
        hearing().predict(np.zeros(1000), 16000)
    with pytest.raises(DataError, match="not finite"):
        hearing().predict(np.full(16000, np.nan), 16000)


def test_several_models_are_fused_on_the_finest_frames(path, tmp_path):
    other = save_random(
        tmp_path / "mfcc", 1, {"kind": "mfcc"}, time_pooling=(1, 1, 1, 1), filters=2
    )
    waveform = sounds(21)
    both = load_model(path, other, batch_size=4).predict(waveform, 16000)
    one, two = (load_model(p).predict(waveform, 16000) for p in (path, other))
    assert both.hop_s == two.hop_s == HOP_S
    places = np.minimum(np.arange(len(two.frame)) // 2, len(one.frame) - 1)
    mean = (one.frame[places] + two.frame) / 2
    np.testing.assert_allclose(both.frame, mean, atol=1e-5)


def test_models_of_other_classes_are_not_fused(path, monkeypatch):
    def load(place, batch_size, **_):
        names = NAMES if place == path else ("Car", "Tram", "Train")
        return dataclasses.replace(hearing().models[0], class_names=names)

    monkeypatch.setattr(recognizer_module, "load_trained", load)
    with pytest.raises(DataError, match="elsewhere has other classes.*'Tram'.*'Bus'"):
        load_model(path, "elsewhere")


def test_a_place_without_a_model_is_named(path):
    with pytest.raises(DataError, match="holds no model"):
        load_model(path, path / "nothing")


def test_thresholds_can_be_chosen(recognizer):
    chosen = recognizer.with_thresholds(event_threshold=0.9)
    assert chosen.postprocessing.event_threshold == 0.9
    assert chosen.postprocessing.gap_s == recognizer.postprocessing.gap_s
    assert chosen.digest != recognizer.digest
    with pytest.raises(ConfigError, match="event_threshold"):
        recognizer.with_thresholds(event_threshold=1.5)


def test_the_digest_tells_models_apart(path, recognizer, tmp_path):
    again, other = (
        load_model(path),
        load_model(save_random(tmp_path / "b", 7, time_pooling=(2, 1, 1, 1))),
    )
    assert again.digest == recognizer.digest != other.digest


def test_tracks_of_files_are_those_of_their_waveforms(recognizer, tmp_path):
    waveform = sounds(23)
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")
    model = recognizer.models[0]
    (track,) = tracks_of(model, [lambda hz: stream_waveform(tmp_path / "a.wav", hz)])
    assert isinstance(track, Track)
    (expected,) = recognizer.tracks([blocks_of(waveform, 10**9)])
    np.testing.assert_allclose(frames_of(track), frames_of(expected), atol=1e-6)


def test_a_picture_of_hours_is_drawn_in_few_columns(monkeypatch):
    drawn = {}

    def draw(features, names, posteriors, hop_s, events, **options):
        drawn.update(features=features, posteriors=posteriors, hop_s=hop_s, **options)

    monkeypatch.setattr(plot, "draw", draw)
    monkeypatch.setattr(plot, "MAX_COLUMNS", 50)
    waveform, recognizer = sounds(30), hearing()
    recording = blocks_of(waveform, 20000)
    (track,) = recognizer.tracks([recording])
    plot.picture_of(recognizer, recording, track, recognizer.events(track), "a")
    frames = defaults.front_end().log_mel(waveform)
    assert len(frames) == 722 and drawn["feature_hop_s"] == pytest.approx(15 * HOP_S)
    assert drawn["hop_s"] == pytest.approx(15 * HOP_S)
    means = frames[:720].reshape(48, 15, 64).mean(1)
    np.testing.assert_allclose(drawn["features"][:48], means, atol=1e-5)
    np.testing.assert_allclose(drawn["features"][48], frames[720:].mean(0), atol=1e-5)
    greatest = frames_of(track)[:720].reshape(48, 15, 3).max(1)
    np.testing.assert_allclose(drawn["posteriors"][:48], greatest, atol=1e-6)
    assert drawn["attention"] is None


def test_attention_is_there_if_asked_for(path, recognizer):
    asked, waveform = load_model(path, with_attention=True), sounds(9.9)
    found, long = (asked.predict(sounds(n), 16000) for n in (9.9, 25))
    np.testing.assert_allclose(
        found.frame, recognizer.predict(waveform, 16000).frame, atol=1e-6
    )
    assert found.attention.shape == found.frame.shape
    # of one window: the clip is the mean of its frames, weighted by attention
    share = found.attention / found.attention.sum(0)
    np.testing.assert_allclose((share * found.frame).sum(0), found.clip, atol=1e-5)
    assert long.attention.shape == long.frame.shape and (long.attention > 0).all()
    assert recognizer.predict(waveform, 16000).attention is None
    with_less = Recognizer((*asked.models, *recognizer.models), asked.postprocessing)
    assert with_less.predict(waveform, 16000).attention is None


def test_an_exported_model_says_what_its_original_says(path, recognizer, tmp_path):
    from gcrnn_jax.exporting.exportable import exportable

    from gcrnn_jax.exporting.folder import export_model

    output = tmp_path / "exported"
    export_model(exportable(system_model(path)), output, ["stablehlo"])
    exported = load_model(output, batch_size=3)
    assert exported.digest != recognizer.digest
    for seconds in (3.3, 27.0):
        waveform = sounds(seconds)
        found = exported.predict(waveform, 16000)
        expected = recognizer.predict(waveform, 16000)
        assert found.hop_s == pytest.approx(expected.hop_s)
        np.testing.assert_allclose(found.frame, expected.frame, atol=1e-5)
        np.testing.assert_allclose(found.clip, expected.clip, atol=1e-5)
    with pytest.raises(DataError, match="TOO_SHORT: 1500 samples.*expected 1688"):
        exported.predict(sounds(1)[:1500], 16000)
