import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.prediction import ensemble as ensemble_module
from gcrnn_jax.prediction import posteriors as posteriors_module
from gcrnn_jax.prediction.ensemble import Ensemble
from gcrnn_jax.prediction.posteriors import (
    CLIP,
    FRAME,
    RecordingPosteriors,
    fuse_recording,
)

NAMES = ("Car", "Bus", "Train")
DECIDE = Postprocessing(
    tag_threshold=[0.3, 0.5, 0.4],
    event_threshold=[0.5, 0.4, 0.6],
    gap_s=0.25,
    min_event_s=0.25,
    require_clip_tag=True,
    at_least_one_tag=False,
    hysteresis=0.8,
    median_s=0.3,
    box_filter_s=0.0,
    box_merge=0.5,
)
ENSEMBLE = Ensemble((), DECIDE)


def make_posteriors(clip, frame, hop_s=0.1):
    """Of frame posteriors [N, K] and of clip posteriors [K] or [N, K]."""
    made = RecordingPosteriors(NAMES, hop_s)
    clip = np.broadcast_to(clip, frame.shape)
    for first in range(0, len(frame), 7):
        rows = slice(first, first + 7)
        made.append(np.stack([clip[rows], frame[rows]], axis=1))
    made.duration_s = len(frame) * hop_s
    return made


def smooth(rng, num_frames):
    """Posteriors that stay high or low for a while."""
    steps = rng.normal(0, 0.15, (num_frames, 3)).cumsum(0)
    return (0.5 + 0.5 * np.sin(steps)).astype(np.float32)


def test_frames_are_read_as_they_were_appended():
    frame = np.random.default_rng(0).random((50, 3), np.float32)
    clip = np.random.default_rng(1).random((50, 3), np.float32)
    made = make_posteriors(clip, frame)
    expected = np.stack([clip, frame], axis=1)
    np.testing.assert_array_equal(made.read(10, 33), expected[10:33])
    np.testing.assert_array_equal(np.concatenate(list(made.blocks())), expected)
    np.testing.assert_array_equal(made.peak[CLIP], clip.max(0))
    np.testing.assert_array_equal(made.peak[FRAME], frame.max(0))


def test_one_clip_is_decided_as_by_postprocessing_alone():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clip, frame = rng.random(3, np.float32), smooth(rng, 60)
        events = ENSEMBLE.events(make_posteriors(clip, frame))
        roll = DECIDE.detect(frame, clip, 0.1)
        assert [found.event for found in events] == decode_events(roll, 0.1, NAMES, 6.0)
        tags = ENSEMBLE.tags(make_posteriors(clip, frame))
        tagged = {NAMES[k] for k in np.flatnonzero(DECIDE.tags(clip))}
        assert {found.event_label for found in tags} == tagged


def test_classes_decoded_apart_or_together_come_out_alike(monkeypatch):
    frame = smooth(np.random.default_rng(3), 300)
    made = make_posteriors(np.ones(3), frame)
    together = ENSEMBLE.events(made)
    assert len({found.event_label for found in together}) == 3
    monkeypatch.setattr(ensemble_module, "_BYTES_AT_ONCE", 1)
    monkeypatch.setattr(posteriors_module, "_BLOCK_FRAMES", 11)
    assert ENSEMBLE.events(made) == together


def test_an_event_needs_the_tag_of_the_windows_around_it():
    frame = np.full((40, 3), 0.9)
    clip = np.zeros((40, 3))
    clip[10:30, 0] = 0.35  # above the first class's threshold, below the others'
    clip[:, 1] = 0.45
    (found,) = ENSEMBLE.events(make_posteriors(clip, frame))
    assert found.event == Event(1.0, 3.0, "Car")


def test_a_tag_of_any_stretch_is_a_tag_of_the_recording():
    clip = np.zeros((30, 3))
    clip[7:9, 1] = 0.8
    tags = ENSEMBLE.tags(make_posteriors(clip, clip))
    assert [tag.event_label for tag in tags] == ["Bus"]


def test_scores_are_the_greatest_posteriors():
    frame = np.zeros((20, 3))
    frame[5:10, 0] = [0.55, 0.6, 0.8, 0.7, 0.6]
    frame[12:18, 2] = 0.7
    clip = np.linspace(0.9, 0.8, 20)[:, None] * [1, 0.1, 0.6]
    made = make_posteriors(clip, frame)
    scores = [found.score for found in ENSEMBLE.events(made)]
    np.testing.assert_allclose(scores, [0.8, 0.7], rtol=1e-6)
    tags = ENSEMBLE.tags(made)
    assert [tag.event for tag in tags] == [Event(0, 2, "Car"), Event(0, 2, "Train")]
    np.testing.assert_allclose([tag.score for tag in tags], [0.9, 0.54], rtol=1e-6)


def test_an_event_at_the_end_ends_with_the_recording():
    made = make_posteriors(np.ones(3), np.full((10, 3), [0.9, 0, 0]))
    made.duration_s = 0.97
    (found,) = ENSEMBLE.events(made)
    assert found.event == Event(0.0, 0.97, "Car")
    assert found.score == pytest.approx(0.9)


def test_recordings_are_fused_as_clips_are(monkeypatch):
    rng = np.random.default_rng(0)
    clips = [rng.random(3, np.float32) for _ in range(2)]
    frames = [rng.random((48, 3), np.float32), rng.random((12, 3), np.float32)]
    sets = [
        PosteriorSet(("a",), NAMES, hop_s, clip[None], frame[None], DECIDE)
        for hop_s, clip, frame in zip((0.05, 0.2), clips, frames, strict=True)
    ]
    expected = fuse_posteriors(sets)
    monkeypatch.setattr(posteriors_module, "_BLOCK_FRAMES", 10)
    systems = [
        make_posteriors(c, f, s.hop_s)
        for c, f, s in zip(clips, frames, sets, strict=True)
    ]
    for order in (systems, systems[::-1]):
        fused = fuse_recording(order)
        assert fused.hop_s == 0.05 and fused.duration_s == pytest.approx(2.4)
        clip, frame = np.moveaxis(fused.read(0, fused.num_frames), 1, 0)
        np.testing.assert_allclose(frame, expected.frame[0], atol=1e-6)
        np.testing.assert_allclose(clip, np.tile(expected.clip, (48, 1)), atol=1e-6)
