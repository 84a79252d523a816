"""Posteriors too large for memory: written in blocks, mapped, whole and unchanged."""

import dataclasses
import mmap

import numpy as np
import pytest

from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.posterior_files import blocks_of, is_map
from gcrnn_jax.detection.posteriors import (
    NoProbabilityError,
    PosteriorSet,
    fuse_posteriors,
)
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError, StorageError

RULES = Postprocessing(0.5, 0.2, 0.4, 0.45, True, False, 1.0, 0.0, 0.0, 0.5)
NAMES = ("Car", "Bus", "Train")


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    """Frames of more than two clips are too many, a block holds two."""
    monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 2 * 6 * 3 * 4)
    monkeypatch.setattr(posterior_files, "BLOCK_BYTES", 2 * 6 * 3 * 4 + 1)


def fields(num_clips=7):
    return {
        "clip_ids": tuple(f"clip {n}" for n in range(num_clips)),
        "class_names": NAMES,
        "hop_s": 0.1,
        "postprocessing": RULES,
        "clip_s": 0.55,
    }


def arrays(seed, num_clips=7, num_frames=6):
    rng = np.random.default_rng(seed)
    frame = rng.random((num_clips, num_frames, 3), np.float32)
    return rng.random((num_clips, 3), np.float32), frame


def in_blocks(clip, frame, size=3):
    """As a network gives them."""
    for first in range(0, len(clip), size):
        yield clip[first : first + size], frame[first : first + size]


def assert_equal(found, clip, frame):
    np.testing.assert_array_equal(found.clip, clip)
    np.testing.assert_array_equal(np.array(found.frame), frame)
    for name, value in fields(len(clip)).items():
        assert getattr(found, name) == value


def test_blocks_become_a_map_of_a_file_without_a_name(tmp_path):
    clip, frame = arrays(0)
    found = PosteriorSet.from_blocks(
        in_blocks(clip, frame), scratch=tmp_path / "new", **fields()
    )
    assert_equal(found, clip, frame)
    assert is_map(found.frame) and not found.frame.flags.writeable
    assert list((tmp_path / "new").iterdir()) == []


def test_blocks_are_saved_as_they_come_and_read_as_a_map(tmp_path):
    (clip, frame), path = arrays(0), tmp_path / "new" / "one.npz"
    written = PosteriorSet.from_blocks(in_blocks(clip, frame), path=path, **fields())
    read = PosteriorSet.load(path, may_be_renamed=False)
    for found in (written, read):
        assert_equal(found, clip, frame)
        assert is_map(found.frame)
    with np.load(path, allow_pickle=False) as archive:  # by anybody
        np.testing.assert_array_equal(archive["frame"], frame)
    assert [file.name for file in path.parent.iterdir()] == ["one.npz"]


def test_few_clips_stay_in_memory(tmp_path):
    clip, frame = arrays(0, num_clips=2)
    found = PosteriorSet.from_blocks(
        in_blocks(clip, frame), path=tmp_path / "a.npz", **fields(2)
    )
    for one in (found, PosteriorSet.load(tmp_path / "a.npz")):
        assert_equal(one, clip, frame)
        assert not is_map(one.frame)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_archives_of_earlier_versions_are_read(tmp_path, write, monkeypatch):
    """Their frames come second, where they lie at odd bytes, or are compressed."""
    (clip, frame), path = arrays(0), tmp_path / "old.npz"
    one = PosteriorSet(clip=clip, frame=frame, **fields())
    with monkeypatch.context() as patch:
        patch.setattr(posterior_files, "IN_MEMORY_BYTES", 1 << 20)
        one.save(path)
        with np.load(path) as archive:
            members = dict(archive)
    order = ("clip_ids", "class_names", "hop_s", "clip", "frame", "postprocessing")
    write(path, **{name: members[name] for name in (*order, "clip_s")})
    found = PosteriorSet.load(path)
    assert_equal(found, clip, frame)
    assert is_map(found.frame) == (write is np.savez)
    for clips, block in found.blocks():
        assert block.flags.aligned
        np.testing.assert_array_equal(block, frame[clips])


def test_every_wrong_bit_of_mapped_frames_is_noticed(tmp_path):
    # more than zipfile reads at once, which would find out by itself
    (clip, frame), path = arrays(0, num_frames=2000), tmp_path / "one.npz"
    PosteriorSet.from_blocks(in_blocks(clip, frame), path=path, **fields())
    content = path.read_bytes()
    start = content.index(frame.tobytes()[:32])
    random = np.random.default_rng(0)
    for place in random.choice(8 * frame.nbytes, 100, replace=False):
        damaged = bytearray(content)
        damaged[start + place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"one\.npz: .*CRC"):
            PosteriorSet.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"one\.npz"):
        PosteriorSet.load(path)


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
@pytest.mark.parametrize("name", ["clip", "frame"])
def test_what_is_no_probability_is_never_written(tmp_path, name, value):
    both = dict(zip(("clip", "frame"), arrays(0), strict=True))
    both[name][5, 1] = value
    path = tmp_path / "one.npz"
    message = f"'clip 5': expected {name} posteriors"
    with pytest.raises(NoProbabilityError, match=message):
        PosteriorSet.from_blocks(in_blocks(**both), path=path, **fields())
    assert list(tmp_path.iterdir()) == []


def test_a_mapped_value_that_is_no_probability_is_named(tmp_path):
    clip, frame = arrays(0)
    PosteriorSet.from_blocks(
        in_blocks(clip, frame), path=tmp_path / "a.npz", **fields()
    )
    with np.load(tmp_path / "a.npz") as archive:
        members = dict(archive)
    members["frame"][4, 2] = np.nan
    np.savez(tmp_path / "a.npz", **members)
    with pytest.raises(DataError, match=r"a\.npz: .*'clip 4': expected frame"):
        PosteriorSet.load(tmp_path / "a.npz")


def test_frames_are_looked_at_once(tmp_path, monkeypatch):
    """As they are written, or as their file is read, and not by each new set."""
    looked_at, look = [], posterior_files._is_probability

    def record(values):
        looked_at.append(len(values) if values.ndim == 3 else 0)
        return look(values)

    monkeypatch.setattr(posterior_files, "_is_probability", record)
    path = tmp_path / "a.npz"
    written = PosteriorSet.from_blocks(in_blocks(*arrays(0)), path=path, **fields())
    for one in (written, PosteriorSet.load(path)):
        again = dataclasses.replace(one, hop_s=0.2)
        assert again.frame is one.frame
    assert sum(looked_at) == 2 * 7


def test_blocks_of_a_map_leave_no_pages_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(posterior_files, "BLOCK_BYTES", 1 << 20)
    clip, frame = arrays(0, num_clips=200, num_frames=60 * 1024)
    found = PosteriorSet.from_blocks(
        in_blocks(clip, frame, 50), path=tmp_path / "a.npz", **fields(200)
    )
    del frame

    def resident_pages():
        lines = open("/proc/self/smaps").read().split("\n")
        place = next(n for n, line in enumerate(lines) if "a.npz" in line)
        rss = next(line for line in lines[place:] if line.startswith("Rss:"))
        return int(rss.split()[1]) * 1024 // mmap.PAGESIZE

    found.frame.sum()
    assert resident_pages() * mmap.PAGESIZE > found.frame.nbytes / 2
    for _ in found.blocks():
        pass
    assert resident_pages() * mmap.PAGESIZE < 4 << 20


def test_fusing_blocks_is_fusing_all(tmp_path):
    fine, coarse = arrays(1), arrays(2, num_frames=3)
    sets = [
        PosteriorSet(clip=clip, frame=frame, **fields() | {"hop_s": hop_s})
        for (clip, frame), hop_s in ((fine, 0.1), (coarse, 0.2))
    ]
    path = tmp_path / "fused.npz"
    fused = fuse_posteriors([*sets, sets[0]], path=path)
    assert is_map(fused.frame) and is_map(PosteriorSet.load(path).frame)
    frames = [fine[1], coarse[1][:, [0, 0, 1, 1, 2, 2]], fine[1]]
    total = np.zeros(fine[1].shape)
    for frame in frames:
        total += frame
    assert_equal(fused, fused.clip, (total / 3).astype(np.float32))
    total = np.zeros(fine[0].shape)
    for clip in (fine[0], coarse[0], fine[0]):
        total += clip
    np.testing.assert_array_equal(fused.clip, (total / 3).astype(np.float32))


def test_silent_frames_take_no_memory():
    clip, frame = arrays(0)
    silent = PosteriorSet(clip=clip, frame=frame, **fields()).without_frames()
    assert silent.frame.shape == frame.shape and not silent.frame.any()
    assert silent.frame.strides == (0, 0, 0)


def test_an_array_is_cut_into_blocks_of_clips():
    frame = arrays(0)[1]
    places = [
        (clips.start, clips.stop, len(block)) for clips, block in blocks_of(frame)
    ]
    assert places == [(0, 2, 2), (2, 4, 2), (4, 6, 2), (6, 7, 1)]
    assert [len(block) for _, block in blocks_of(frame[:0])] == [0]


def test_a_file_without_room_is_an_error_of_the_disk(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posterior_files, "_bytes", fail)
    for places in ({"scratch": tmp_path}, {"path": tmp_path / "a.npz"}):
        with pytest.raises(StorageError, match="No space left"):
            PosteriorSet.from_blocks(in_blocks(*arrays(0)), **places, **fields())
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_says_its_frames_are_more_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    PosteriorSet.from_blocks(in_blocks(*arrays(0)), path=path, **fields())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(7, 6, 3), }", b"(7, 6, 9), }"))
    with pytest.raises(DataError, match=r"a\.npz: .*frame\.npy"):
        PosteriorSet.load(path)
