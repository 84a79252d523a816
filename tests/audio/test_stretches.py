"""A stretch of a recording is what is there of the whole one, without decoding it."""

import os

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio import containers
from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.audio.sndfile import SndfilePart
from gcrnn_jax.audio.stretches import MARGIN_S

ATOL = 1e-5  # a third of the last of 16 bits
FORMATS = {
    "a.wav": ("PCM_16", 44100),
    "a.flac": ("PCM_16", 48000),
    "b.flac": ("PCM_16", 16000),
    "c.flac": ("PCM_16", 22051),  # no period in common with 16 kHz
    "a.ogg": ("VORBIS", 44100),
    "a.mp3": ("MPEG_LAYER_III", 32000),
    "b.wav": ("MS_ADPCM", 44100),
    "a.aiff": ("PCM_24", 8000),
}


def write(path, seconds, subtype="PCM_16", rate_hz=16000, seed=0):
    size = round(seconds * rate_hz)
    noise = 0.1 * np.random.default_rng(seed).standard_normal((size, 2))
    with soundfile.SoundFile(path, "w", rate_hz, 2, subtype) as file:
        for first in range(0, size, 4096):  # Vorbis takes no more at once
            file.write(noise[first : first + 4096])
    return path


@pytest.fixture
def num_decoded(monkeypatch):
    """Counts the samples that libsndfile decodes."""
    counts, read = [], SndfilePart.read

    def counted(self, count):
        counts.append(len(block := read(self, count)))
        return block

    monkeypatch.setattr(SndfilePart, "read", counted)
    return counts


@pytest.mark.parametrize("name", FORMATS)
def test_a_stretch_is_that_of_the_whole_recording(tmp_path, num_decoded, name):
    subtype, rate_hz = FORMATS[name]
    path = write(tmp_path / name, 6.0, subtype, rate_hz)
    whole = read_waveform(path)
    for start_s, length_s in ((0.05, 0.5), (1.0, 1.0), (3.3331, 0.7), (5.5, 0.5)):
        num_decoded.clear()
        stretch = read_waveform(path, max_s=length_s, start_s=start_s)
        first, end = (round(s * 16000) for s in (start_s, start_s + length_s))
        np.testing.assert_allclose(stretch, whole[first:end], rtol=0, atol=ATOL)
        period_s = rate_hz / np.gcd(rate_hz, 16000) / rate_hz
        most = (length_s + 2 * MARGIN_S + period_s) * rate_hz
        assert sum(num_decoded) <= most + 2


def test_stretches_side_by_side_are_the_whole_recording(tmp_path):
    path = write(tmp_path / "a.flac", 3.0, rate_hz=22050)
    borders = [0.0, 0.70001, 1.39999, 2.10003, 3.0]
    pairs = zip(borders[:-1], borders[1:], strict=True)
    parts = [read_waveform(path, max_s=b - a, start_s=a) for a, b in pairs]
    parts[0] = parts[0][: round(borders[1] * 16000)]  # a clip from 0 ends above
    joined = np.concatenate(parts)
    np.testing.assert_allclose(joined, read_waveform(path), rtol=0, atol=ATOL)


def test_where_the_place_cannot_be_found_it_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "a.flac", 3.0)
    whole = read_waveform(path)

    def fails(self, *_):
        raise soundfile.LibsndfileError(1)

    monkeypatch.setattr(soundfile.SoundFile, "seek", fails)
    stretch = read_waveform(path, max_s=0.5, start_s=2.0)
    np.testing.assert_array_equal(stretch, whole[32000:40000])


def test_a_recording_of_a_length_that_is_guessed_is_decoded(tmp_path, num_decoded):
    path = write(tmp_path / "a.mp3", 3.0, "MPEG_LAYER_III", 44100)
    content = path.read_bytes()
    first = content.index(b"\xff\xfb", content.index(b"\xff\xfb") + 100)
    (path := tmp_path / "b.mp3").write_bytes(content[first:])  # without its length
    whole = read_waveform(path)
    num_decoded.clear()
    stretch = read_waveform(path, max_s=0.5, start_s=2.0)
    np.testing.assert_allclose(stretch, whole[32000:40000], rtol=0, atol=ATOL)
    assert sum(num_decoded) > 2 * 44100


def test_a_stretch_may_lie_in_the_second_of_two_joined_recordings(tmp_path):
    first = write(tmp_path / "a.wav", 2.0).read_bytes()
    path = write(tmp_path / "b.wav", 2.0, seed=1)
    path.write_bytes(first + path.read_bytes())
    whole = read_waveform(path)
    assert len(whole) == 4 * 16000
    for start_s in (0.5, 1.75, 2.5):  # before, over and behind the border
        stretch = read_waveform(path, max_s=0.5, start_s=start_s)
        first = round(start_s * 16000)
        np.testing.assert_array_equal(stretch, whole[first : first + 8000])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_stretch_behind_the_end_has_no_sample(tmp_path, name):
    path = write(tmp_path / name, 1.0, FORMATS[name][0])
    with pytest.raises(Rejected, match=r"EMPTY: ends at 1\.000 s, before the clip"):
        read_waveform(path, max_s=1.0, start_s=2.0)


def test_damage_costs_the_stretches_that_it_is_in(tmp_path):
    path = write(tmp_path / "a.flac", 4.0)
    whole, content = read_waveform(path), bytearray(path.read_bytes())
    place = len(content) * 5 // 8  # 2.5 s
    content[place : place + 2000] = bytes(2000)
    path.write_bytes(content)
    for start_s in (0.5, 1.5, 3.5):
        stretch = read_waveform(path, max_s=0.4, start_s=start_s)
        first = round(start_s * 16000)
        np.testing.assert_array_equal(stretch, whole[first : first + 6400])
    with pytest.raises(Rejected, match="CORRUPT"):
        read_waveform(path, max_s=0.4, start_s=2.4)


def test_where_a_recording_ends_is_looked_for_once(tmp_path, monkeypatch):
    """Which in FLAC and Ogg reads all of a file: not for each clip of an hour."""
    looked, find = [], containers.find_extent
    monkeypatch.setattr(
        containers, "find_extent", lambda region: looked.append(1) or find(region)
    )
    path = write(tmp_path / "a.flac", 3.0)
    for start_s in (0.5, 1.0, 1.5):
        read_waveform(path, max_s=0.5, start_s=start_s)
    assert len(looked) == 1
    write(path, 4.0)
    assert len(read_waveform(path, max_s=0.5, start_s=3.5)) == 8000
    assert len(looked) == 2
    os.utime(path, ns=(1, 1))  # other bytes, perhaps as many
    read_waveform(path, max_s=0.5, start_s=3.5)
    assert len(looked) == 3
