"""Containers times faults: all of a file is read, or it is said that it was not."""

import struct

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.containers import Extent, find_extent
from gcrnn_jax.audio.decode import read_waveform, stream_waveform
from gcrnn_jax.audio.measure import measure
from gcrnn_jax.audio.mpeg import begins_mp3
from gcrnn_jax.audio.regions import Region, skip_tags
from gcrnn_jax.audio.rejected import Rejected

RATE, LENGTH = 16000, 64000
NOISE = 0.1 * np.random.default_rng(0).standard_normal(LENGTH).astype(np.float32)

# Name -> how soundfile writes it, and where the size of its samples is, if anywhere:
# what is before the field, how far behind that, its bytes, their order.
SNDFILE = {
    "wav": ({"format": "WAV"}, (b"data", 4, 4, "little")),
    "wavex": ({"format": "WAVEX"}, (b"data", 4, 4, "little")),
    "rf64": ({"format": "RF64"}, (b"ds64", 16, 8, "little")),
    "rifx": ({"format": "WAV", "endian": "BIG"}, (b"data", 4, 4, "big")),
    "float": ({"format": "WAV", "subtype": "FLOAT"}, (b"data", 4, 4, "little")),
    "ulaw": ({"format": "WAV", "subtype": "ULAW"}, (b"data", 4, 4, "little")),
    "w64": ({"format": "W64"}, (b"data\xf3\xac\xd3\x11", 16, 8, "little")),
    "aiff": ({"format": "AIFF"}, (b"SSND", 4, 4, "big")),
    "sowt": ({"format": "AIFF", "endian": "LITTLE"}, (b"SSND", 4, 4, "big")),
    "caf": ({"format": "CAF"}, (b"data", 4, 8, "big")),
    "caf_le": ({"format": "CAF", "endian": "LITTLE"}, (b"data", 4, 8, "big")),
    "au": ({"format": "AU"}, (b".snd", 8, 4, "big")),
    "au_le": ({"format": "AU", "endian": "LITTLE"}, (b"dns.", 8, 4, "little")),
    "flac": ({"format": "FLAC"}, None),
    "vorbis": ({"format": "OGG"}, None),
    "opus": ({"format": "OGG", "subtype": "OPUS"}, None),
    "mp3": ({"format": "MP3"}, None),
    "mp3_vbr": ({"format": "MP3", "bitrate_mode": "VARIABLE"}, None),
}
# Name -> codec, container, rate in Hz and options, as FFmpeg has them.
FFMPEG = {
    "avi": ("pcm_s16le", "avi", 16000, {}),
    "amr": ("libopencore_amrnb", "amr", 8000, {}),
    "g722": ("g722", "wav", 16000, {}),
    "ts": ("aac", "mpegts", 16000, {}),
    "flac_ogg": ("flac", "ogg", 16000, {}),
    "m4a": ("aac", "ipod", 16000, {}),
    "faststart": ("aac", "ipod", 16000, {"movflags": "faststart"}),
    "adts": ("aac", "adts", 16000, {}),
    "webm": ("libopus", "webm", 48000, {}),
    "matroska": ("aac", "matroska", 16000, {}),
    "flv": ("aac", "flv", 44100, {}),
    "mp3_bare": ("libmp3lame", "mp3", 44100, {"write_xing": "0"}),
}
LOSSY_S = 0.11  # that codecs add at the ends
LOSSLESS = (*list(SNDFILE)[:14], "avi", "flac_ogg")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns the bytes of a recording of NOISE by the name of its container."""
    path, made = tmp_path_factory.mktemp("containers") / "a", {}

    def bytes_of(name: str) -> bytes:
        if name not in made:
            if name in SNDFILE:
                soundfile.write(path, NOISE, RATE, **SNDFILE[name][0])
            else:
                _write_by_ffmpeg(path, *FFMPEG[name])
            made[name] = path.read_bytes()
        return made[name]

    return bytes_of


def _write_by_ffmpeg(path, codec, container_format, rate_hz, options):
    av = pytest.importorskip("av", reason="needs PyAV, the extra `ffmpeg`")
    with av.open(
        str(path), "w", format=container_format, container_options=options
    ) as container:
        try:
            stream = container.add_stream(codec, rate=rate_hz)
        except ValueError:
            pytest.skip(f"FFmpeg was built without {codec}")
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(NOISE[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def read(path) -> tuple[np.ndarray, str]:
    """What there is of a recording, and the code of what ends it early."""
    blocks = [np.zeros(0, np.float32)]
    try:
        blocks.extend(stream_waveform(path))
    except Rejected as rejected:
        return np.concatenate(blocks), rejected.code
    return np.concatenate(blocks), ""


def check(tmp_path, name, content, times):
    """The content is read as the recording, so often in a row."""
    path = tmp_path / "a"
    path.write_bytes(content)
    waveform, code = read(path)
    assert code == ""
    if name not in LOSSLESS:
        assert 0 <= len(waveform) - times * LENGTH <= times * LOSSY_S * RATE
        return
    tolerance = 1e-2 if name == "ulaw" else 1e-4
    np.testing.assert_allclose(waveform, np.tile(NOISE, times), atol=tolerance)


ID3V1 = b"TAG" + bytes(125)
APE_FOOTER = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 11, 1, 0) + bytes(8)
APE_HEADER = b"APETAGEX" + struct.pack("<IIII", 2000, 43, 1, 0xA0000000) + bytes(8)
TAGS = {
    "none": b"",
    "id3v1": ID3V1,
    "ape": struct.pack("<II", 2, 0) + b"K\0v" + APE_FOOTER + ID3V1,
    "zeros": bytes(5000),
}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", [*SNDFILE, *FFMPEG])
def test_tags_behind_a_recording_are_no_part_of_it(make, tmp_path, name, tag):
    if tag == "zeros" and name in ("amr", "adts", "flv", "ts"):
        pytest.skip("FFmpeg takes zeros for a broken frame, which is said")
    check(tmp_path, name, make(name) + TAGS[tag], 1)


@pytest.mark.parametrize("name", [*SNDFILE, *FFMPEG])
def test_joined_recordings_are_both_read(make, tmp_path, name):
    check(tmp_path, name, make(name) + make(name), 2)
    if name in ("wav", "mp3", "flac"):
        check(tmp_path, name, make(name) + ID3V1 + make(name), 2)


@pytest.mark.parametrize("name", [*SNDFILE, *FFMPEG])
def test_half_a_recording_is_not_taken_for_a_whole(make, tmp_path, name):
    path, content = tmp_path / "a", make(name)
    path.write_bytes(content[: len(content) // 2])
    waveform, code = read(path)
    assert code in ("TRUNCATED", "CORRUPT")
    with pytest.raises(Rejected):
        read_waveform(path)
    with pytest.raises(Rejected):
        measure(path)
    if name not in ("m4a", "vorbis"):  # whose samples need what is at the end
        assert 0.2 * LENGTH < len(waveform) < 0.6 * LENGTH


@pytest.mark.parametrize("name", [name for name, (_, at) in SNDFILE.items() if at])
def test_a_size_that_is_not_true_loses_nothing(make, tmp_path, name):
    content = bytearray(make(name))
    before, skipped, length, order = SNDFILE[name][1]
    field = slice(content.index(before) + skipped, None)
    field = slice(field.start, field.start + length)
    size = int.from_bytes(content[field], order)
    unknown = [] if name == "rf64" else [b"\xff" * length]  # which libsndfile refuses
    for fault in (bytes(length), *unknown):  # lost power, a pipe
        content[field] = fault
        check(tmp_path, name, content, 1)
    content[field] = (2 * size).to_bytes(length, order)
    (tmp_path / "a").write_bytes(content)
    waveform, code = read(tmp_path / "a")
    assert (len(waveform), code) == (LENGTH, "TRUNCATED")


def extent_of(path) -> Extent:
    with open(path, "rb") as file:
        return find_extent(Region(file.fileno(), 0, path.stat().st_size))


@pytest.mark.parametrize("behind", [b"", b"LIST\4\0\0\0INFO", ID3V1])
@pytest.mark.parametrize("name", ["wav", "aiff", "au"])
def test_a_size_over_4_gib_that_has_wrapped_round(make, tmp_path, name, behind):
    """By a sparse file, of which little is read."""
    if behind.startswith(b"LIST") and name != "wav":
        behind = b"ANNO\0\0\0\4INFO" if name == "aiff" else b""
    path, content = tmp_path / "a", bytearray(make(name))
    before, skipped, _, order = SNDFILE[name][1]
    at = content.index(before) + skipped
    start = {"wav": at + 4, "aiff": at + 12, "au": 24}[name]
    content[at : at + 4] = (100000 + 8 * (name == "aiff")).to_bytes(4, order)
    end = start + (1 << 32) + 100000
    with open(path, "wb") as file:
        file.write(content[: start + 90000])
        file.seek(end - 1000)
        file.write(b"\1" * 1000 + behind)
    assert extent_of(path).samples == (start, end)


def test_bytes_that_nothing_explains_are_said(make, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(make("wav") + NOISE.tobytes()[:20000])
    with pytest.raises(Rejected, match=r"TRUNCATED: \d+ bytes behind sample 64000 are"):
        read_waveform(path)
    assert len(read_waveform(path, max_s=3.9)) == round(3.9 * RATE)
    path.write_bytes(make("wav") + NOISE.tobytes()[:1000])  # less than 40 ms
    assert len(read_waveform(path)) == LENGTH
    content = bytearray(make("flac"))
    content[22:26] = (LENGTH // 2).to_bytes(4, "big")
    path.write_bytes(content)
    assert read(path)[1] == "TRUNCATED"


@pytest.mark.parametrize("name", ["vorbis", "opus", "flac_ogg"])
def test_bytes_of_an_ogg_that_are_no_pages_are_said(make, tmp_path, name):
    content = make(name)
    pages = [i for i in range(len(content)) if content.startswith(b"OggS\0", i)]
    hole = bytearray(content)
    hole[pages[-2] : pages[-2] + 500] = bytes(500)  # the head of a page is lost
    for wrong in (content + b"\x55" * 5000, hole):
        (tmp_path / "a").write_bytes(wrong)
        assert read(tmp_path / "a")[1] == "CORRUPT"
        with pytest.raises(Rejected):
            measure(tmp_path / "a")


def test_a_joined_recording_of_another_rate_is_said(make, tmp_path):
    soundfile.write(tmp_path / "other.wav", NOISE, 8000)
    path = tmp_path / "a"
    path.write_bytes(make("wav") + (tmp_path / "other.wav").read_bytes())
    with pytest.raises(Rejected, match="another recording, 8000 Hz, 1 channel"):
        read_waveform(path)


def test_an_mp3_without_a_length_is_read_to_its_end(tmp_path):
    """Loud for a second of ten: from that libsndfile would guess 5 s."""
    waveform = 0.01 * np.random.default_rng(0).standard_normal(10 * RATE)
    waveform[:RATE] *= 30
    path = tmp_path / "a.mp3"
    how = {"bitrate_mode": "VARIABLE", "compression_level": 0.2}
    soundfile.write(path, waveform, RATE, **how)
    whole, content = read_waveform(path), path.read_bytes()
    start = content.index(b"\xff\xf3")  # the frame that says how many there are
    path.write_bytes(content[content.index(b"\xff\xf3", start + 100) :])
    assert soundfile.info(path).duration < 8
    bare = read_waveform(path)
    shift = int(np.argmax(np.correlate(bare[: 2 * RATE], whole[:RATE], "valid")))
    assert shift < 2000 and len(bare) >= len(whole)
    np.testing.assert_allclose(bare[shift:][: len(whole)], whole, atol=1e-6)


def test_an_mp3_has_two_frames_in_a_row_or_a_tag(tmp_path):
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    for content, expected in (
        (frame + frame, True),
        (b"junk" + frame + frame, True),
        (frame + b"\xff\xfb\x98\x00" + bytes(500), False),  # of another rate
        (frame + bytes(500), False),
        (b"ID3\4\0\0\0\0\0\5tag..sound", True),
        (b"ID3\4\0\0\0\0\7\5tag..", False),
    ):
        (tmp_path / "a").write_bytes(content)
        with open(tmp_path / "a", "rb") as file:
            region = Region(file.fileno(), 0, len(content))
            assert begins_mp3(region) == expected


def test_noise_and_text_and_lists_of_files_are_no_mp3(tmp_path, monkeypatch):
    rng, path = np.random.default_rng(0), tmp_path / "a.mp3"
    soundfile.write(tmp_path / "a.wav", NOISE, RATE)
    monkeypatch.chdir(tmp_path)  # FFmpeg would read the file that a list names
    for content in (
        *(b"\xff\xfb\x90\x00" + rng.bytes(3000) for _ in range(5)),
        b"ID3 is a tag " * 100,
        b"#EXTM3U\nhttp://127.0.0.1:9/a.mp3\n",
        b"ffconcat version 1.0\nfile a.wav\n",
    ):
        path.write_bytes(content)
        assert read(path) == (pytest.approx([]), "FORMAT")


def test_tags_are_skipped_one_after_the_other(tmp_path):
    id3v2 = b"ID3\4\0\0\0\0\2\0" + bytes([7]) * 256
    lyrics = b"LYRICSBEGININD0000200000012LYRICS200"
    ape = APE_HEADER + b"\2\0\0\0\0\0\0\0K\0v" + APE_FOOTER
    path = tmp_path / "a"
    for content in (id3v2 + ape + lyrics + ID3V1, bytes(9) + lyrics + ID3V1):
        path.write_bytes(b"sound" + content)
        with open(path, "rb") as file:
            region = Region(file.fileno(), 0, 5 + len(content))
            assert skip_tags(region, 5) == region.size
            assert skip_tags(region, 1) == 1


@pytest.mark.parametrize("level", [1e38, 3e38])
def test_finite_samples_that_overflow_are_not_finite(tmp_path, level):
    data = level * np.sign(NOISE)
    soundfile.write(tmp_path / "a.wav", data, 44100, subtype="FLOAT")
    waveform, code = read(tmp_path / "a.wav")
    assert np.isfinite(waveform).all()
    assert code == "NONFINITE" or level == 1e38
