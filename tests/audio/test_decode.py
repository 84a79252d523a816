"""Every file is a waveform or one code; nothing hangs, nothing else is raised."""

import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from gcrnn_jax.audio.decode import read_waveform, resample, stream_waveform
from gcrnn_jax.audio.measure import measure
from gcrnn_jax.audio.rejected import Rejected


def noise(rate: int = 16000, seconds: float = 1.0, channels: int = 1) -> np.ndarray:
    shape = (round(rate * seconds), channels)
    return 0.1 * np.random.default_rng(0).standard_normal(shape)


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


def write(path: Path, data: np.ndarray | None = None, rate: int = 16000, **how) -> Path:
    soundfile.write(path, noise(rate) if data is None else data, rate, **how)
    return path


def code_of(path: object) -> str:
    with pytest.raises(Rejected) as caught:
        read_waveform(path)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "how", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_U8"}, 1e-2),
        ("a.wav", {"subtype": "PCM_16"}, 1e-4),
        ("a.wav", {"subtype": "PCM_24"}, 1e-6),
        ("a.wav", {"subtype": "FLOAT"}, 1e-7),
        ("a.wav", {"subtype": "DOUBLE"}, 1e-7),
        ("a.wav", {"subtype": "ALAW"}, 3e-2),
        ("a.wav", {"subtype": "PCM_16", "endian": "BIG"}, 1e-4),
        ("a.wav", {"subtype": "PCM_16", "format": "WAVEX"}, 1e-4),
        ("a.wav", {"subtype": "PCM_16", "format": "RF64"}, 1e-4),
        ("a.flac", {"subtype": "PCM_16"}, 1e-4),
        ("a.ogg", {}, 0.1),
        ("a.mp3", {}, 0.1),
        ("named.wav", {"format": "FLAC"}, 1e-4),  # the content decides, not the name
    ],
)
def test_a_file_gives_the_samples_written_to_it(tmp_path, name, how, tolerance):
    data = tone(16000)
    waveform = read_waveform(write(tmp_path / name, data, **how))
    assert waveform.dtype == np.float32
    assert waveform.shape == (16000,)
    np.testing.assert_allclose(waveform, data, atol=tolerance)


@pytest.mark.parametrize(
    "rate", [4000, 7999, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]
)
def test_every_rate_becomes_the_one_asked_for(tmp_path, rate):
    path = write(tmp_path / "a.wav", tone(rate)[:-1], rate, subtype="FLOAT")
    waveform = read_waveform(path)
    assert len(waveform) == math.ceil((rate - 1) * 16000 / rate)
    inner = slice(1000, 15000)  # the resampler rings at the ends
    np.testing.assert_allclose(waveform[inner], tone(16000)[inner], atol=2e-4)


@pytest.mark.parametrize("channels", [2, 6, 32])
def test_channels_are_averaged(tmp_path, channels):
    data = noise(channels=channels)
    path = write(tmp_path / "a.wav", data, subtype="FLOAT")
    np.testing.assert_allclose(read_waveform(path), data.mean(axis=1), atol=1e-7)


def test_two_equal_channels_are_the_mono_recording_bit_for_bit(tmp_path):
    mono = write(tmp_path / "mono.wav", noise(), subtype="FLOAT")
    both = np.repeat(noise(), 2, axis=1)
    stereo = write(tmp_path / "stereo.wav", both, subtype="FLOAT")
    np.testing.assert_array_equal(read_waveform(stereo), read_waveform(mono))


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_crop_is_the_start_of_the_whole(tmp_path, rate):
    path = write(tmp_path / "a.flac", noise(rate, 2.0), rate)
    cropped = read_waveform(path, max_s=0.7)
    assert len(cropped) == math.ceil(0.7 * 16000)
    np.testing.assert_allclose(cropped, read_waveform(path)[: len(cropped)], atol=1e-6)


def flac_with_total(tmp_path: Path, total: int) -> Path:
    """A FLAC file whose header claims this many samples (0: unknown)."""
    path = write(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | total >> 32
    content[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def test_a_flac_stream_of_unknown_length_is_read_to_its_end(tmp_path):
    assert len(read_waveform(flac_with_total(tmp_path, 0))) == 16000


def test_a_header_that_claims_terabytes_allocates_nothing(tmp_path):
    path = flac_with_total(tmp_path, 2**36 - 1)
    assert len(read_waveform(path, max_s=0.5)) == 8000
    assert code_of(path) == "TRUNCATED"


def test_a_streamed_wav_of_unknown_size_is_read_to_its_end(tmp_path):
    path = write(tmp_path / "a.wav")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read_waveform(path)) == 16000


@pytest.mark.parametrize(
    ("name", "keep", "expected"),
    [
        ("a.wav", 0.5, "TRUNCATED"),
        ("a.ogg", 0.5, "TRUNCATED"),
        ("a.ogg", 0.999, "TRUNCATED"),
        ("a.flac", 0.5, "CORRUPT"),
        ("a.wav", 0.0, "EMPTY"),
        ("a.ogg", 0.0, "EMPTY"),
    ],
)
def test_a_file_cut_short_is_rejected(tmp_path, name, keep, expected):
    path = write(tmp_path / name, noise(seconds=4.0))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert code_of(path) == expected


def test_a_file_may_lack_40_ms_and_no_more(tmp_path):
    whole = write(tmp_path / "whole.wav").read_bytes()
    path = tmp_path / "a.wav"
    path.write_bytes(whole[: -2 * 639])
    assert len(read_waveform(path)) == 16000 - 639
    path.write_bytes(whole[: -2 * 641])
    assert code_of(path) == "TRUNCATED"
    assert len(read_waveform(flac_with_total(tmp_path, 16000 + 639))) == 16000
    assert code_of(flac_with_total(tmp_path, 16000 + 641)) == "TRUNCATED"


@pytest.mark.parametrize("name", ["a.flac", "a.ogg"])
def test_a_flipped_byte_is_noticed(tmp_path, name):
    path = write(tmp_path / name, noise(seconds=4.0))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    assert code_of(path) == "CORRUPT"


@pytest.mark.parametrize(
    "content",
    [b"<html>404</html>", bytes(100), np.random.default_rng(0).bytes(5000), b"RIFF"],
)
def test_what_is_no_audio_is_rejected_by_its_content(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert code_of(path) == "FORMAT"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_rejected(tmp_path, value):
    data = noise()
    data[77] = value
    path = write(tmp_path / "a.wav", data, subtype="FLOAT")
    assert code_of(path) == "NONFINITE"


@pytest.mark.parametrize("rate", [1, 3999, 384001, 2**31 - 1])
def test_impossible_rates_are_rejected(tmp_path, rate):
    assert code_of(write(tmp_path / "a.wav", noise(), rate)) == "RATE"


def test_more_channels_than_any_recorder_has_are_rejected(tmp_path):
    path = write(tmp_path / "a.wav", noise(seconds=0.1, channels=33))
    assert code_of(path) == "CHANNELS"


def test_no_samples_are_rejected(tmp_path):
    assert code_of(write(tmp_path / "a.wav", np.zeros(0))) == "EMPTY"


def test_what_is_not_a_regular_file_is_rejected_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert code_of(tmp_path / "fifo.wav") == "NOT_REGULAR"
    assert code_of(tmp_path / "folder.wav") == "NOT_REGULAR"
    assert code_of("/dev/zero") == "NOT_REGULAR"
    assert code_of(tmp_path / "dangling.wav") == "MISSING"
    assert code_of(tmp_path / "loop.wav") == "MISSING"
    assert code_of(tmp_path / "none.wav") == "MISSING"
    assert code_of(tmp_path / "none" / "none.wav") == "MISSING"
    assert code_of("nul\0.wav") == "MISSING"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_rejected(tmp_path):
    path = write(tmp_path / "a.wav")
    path.chmod(0)
    assert code_of(path) == "DENIED"


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.wav", b"a\nb.wav", b"-rf.wav", "é 🎵.wav".encode(), b"'\";<.wav"],
)
def test_any_name_that_the_disk_takes_can_be_read(tmp_path, name):
    path = write(tmp_path / "a.wav")
    odd = os.path.join(os.fsencode(tmp_path), name)
    os.rename(path, odd)
    for spelling in (odd, os.fsdecode(odd)):
        assert len(read_waveform(spelling)) == 16000


def test_no_descriptor_is_left_open(tmp_path):
    good, broken = write(tmp_path / "a.wav"), tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        read_waveform(good)
        code_of(broken)
        code_of(tmp_path)
    assert os.listdir("/proc/self/fd") == before


def test_a_rejection_survives_the_way_back_from_a_worker():
    again = pickle.loads(pickle.dumps(Rejected("RATE", "1 Hz")))
    assert (again.code, again.detail, str(again)) == ("RATE", "1 Hz", "RATE: 1 Hz")


@pytest.mark.parametrize("read", [read_waveform, measure])
def test_an_ogg_cut_before_its_first_sample_is_truncated_not_empty(tmp_path, read):
    path = tmp_path / "cut.ogg"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(160000), 16000)
    content = path.read_bytes()
    third_page = content.index(b"OggS", content.index(b"OggS", 4) + 4)
    path.write_bytes(content[: third_page + 100])
    with pytest.raises(Rejected) as rejected:
        read(path)
    assert rejected.value.code == "TRUNCATED"


def test_an_ogg_cut_anywhere_in_its_last_page_is_truncated(tmp_path):
    path = write(tmp_path / "a.ogg", noise(seconds=4.0))
    content = path.read_bytes()
    page = content.rindex(b"OggS")
    for kept in (4, 5, 6, 26, 27, 28, len(content) - page - 1):  # 27: of its header
        path.write_bytes(content[: page + kept])
        assert code_of(path) == "TRUNCATED", kept


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("size", [997, 65536])
def test_blocks_are_resampled_as_the_whole(rate_hz, size):
    waveform = np.random.default_rng(0).standard_normal(200001).astype(np.float32)
    blocks = (waveform[i : i + size] for i in range(0, len(waveform), size))
    resampled = np.concatenate(list(resample(blocks, rate_hz, 16000)))
    expected = soxr.resample(waveform, rate_hz, 16000, quality="HQ")
    assert len(resampled) == math.ceil(len(waveform) * 16000 / rate_hz)
    length = min(len(resampled), len(expected))
    assert len(resampled) - length <= 1
    np.testing.assert_allclose(resampled[:length], expected[:length], atol=1e-6)


def test_a_stream_is_the_waveform_in_pieces(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal((300000, 2))
    soundfile.write(tmp_path / "a.flac", noise, 44100)
    blocks = list(stream_waveform(tmp_path / "a.flac"))
    assert max(map(len, blocks)) < 16000  # of 109,000
    whole = read_waveform(tmp_path / "a.flac")
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    first = read_waveform(tmp_path / "a.flac", max_s=2.5)
    np.testing.assert_allclose(first, whole[:40000], atol=1e-4)
    assert len(first) == 40000


def write_m4a(path, waveform):
    """Encodes [channels, samples] as AAC at 44.1 kHz."""
    av = pytest.importorskip("av", reason="needs PyAV, the extra `ffmpeg`")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(waveform, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def test_m4a_is_read_to_its_length_where_ffmpeg_is_there(tmp_path):
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(100000) / 44100)
    write_m4a(tmp_path / "a.m4a", np.stack([tone, tone / 2]).astype(np.float32))
    decoded = read_waveform(tmp_path / "a.m4a", 44100)
    assert abs(len(decoded) - 100000) <= 44  # the container counts milliseconds
    middle = slice(2000, 98000)  # the encoder needs a packet to settle
    np.testing.assert_allclose(decoded[middle], 0.75 * tone[middle], atol=0.02)
    half = (tmp_path / "a.m4a").read_bytes()[:-9000]
    (tmp_path / "half.m4a").write_bytes(half)
    with pytest.raises(Rejected):
        read_waveform(tmp_path / "half.m4a")


def test_without_ffmpeg_its_formats_say_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Rejected, match=r"FORMAT: .*pip install gcrnn_jax\[ffmpeg\]"):
        read_waveform(tmp_path / "a.m4a")
    (tmp_path / "b.wav").write_bytes(b"no sound at all")
    with pytest.raises(Rejected) as caught:
        read_waveform(tmp_path / "b.wav")
    assert "ffmpeg" not in caught.value.detail
