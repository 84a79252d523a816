"""Recordings are decoded elsewhere: a decoder that crashes or hangs costs one."""

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data import worker
from gcrnn_jax.prediction import decoding
from gcrnn_jax.prediction.decoding import stream_decoded


@pytest.fixture
def recording(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, 0.1 * np.random.default_rng(0).normal(size=200_000), 22050)
    return path


@pytest.fixture
def fault(monkeypatch):
    """Sets a fault of decoders that start from now on."""
    monkeypatch.setattr(decoding, "_processes", worker.Streams(decoding._decode))
    yield lambda setting: monkeypatch.setenv("GCRNN_FAILPOINT", setting)
    decoding._processes.close()


def test_what_is_decoded_elsewhere_is_the_same(recording):
    here, there = (
        np.concatenate(list(stream(recording, 16000)))
        for stream in (stream_waveform, stream_decoded)
    )
    assert np.array_equal(here, there)
    with pytest.raises(Rejected, match="MISSING: no such file"):
        list(stream_decoded(recording + "x", 16000))


def test_a_decoder_that_dies_once_costs_nothing(recording, fault, capsys):
    fault("predict.decode@2:kill")
    first = list(stream_decoded(recording, 16000))
    again = list(stream_decoded(recording, 16000))
    assert np.array_equal(np.concatenate(first), np.concatenate(again))
    assert "a.wav: its process was ended by SIGKILL" in capsys.readouterr().err


def test_a_decoder_goes_on_where_another_was_lost(recording):
    whole = list(stream_decoded(recording, 16000))
    blocks = stream_decoded(recording, 16000)
    parts = [next(blocks)]
    (lost,) = worker_processes()
    lost.kill()
    parts += blocks
    assert np.array_equal(np.concatenate(whole), np.concatenate(parts))


def worker_processes():
    return __import__("multiprocessing").active_children()


def test_a_recording_at_which_decoders_hang_is_rejected(recording, fault, monkeypatch):
    monkeypatch.setattr(worker, "SILENT_S", 0.4)
    fault("predict.decode:hang")
    with pytest.raises(Rejected) as rejected:
        list(stream_decoded(recording, 16000))
    code, detail = rejected.value.args
    assert (code, detail) == ("DECODER", "its process gave no sign for 0 s, twice")
