import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError

PLAIN = Postprocessing((0.5, 0.4, 0.3), 0.2, 0.4, 0.45, True, False, 1.0, 0.0, 0.0, 0.5)


def make_set(seed, num_frames=6, hop_s=0.1):
    rng = np.random.default_rng(seed)
    return PosteriorSet(
        ("a", "ä b"),
        ("Car", "Bus", "Air horn, truck horn"),
        hop_s,
        rng.random((2, 3), np.float32),
        rng.random((2, num_frames, 3), np.float32),
        PLAIN,
    )


def test_what_is_saved_is_loaded(tmp_path):
    one = make_set(0)
    one.save(tmp_path / "new folder" / "one.npz")
    again = PosteriorSet.load(tmp_path / "new folder" / "one.npz")
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(
            getattr(again, field.name), getattr(one, field.name)
        )
    assert again.clip_ids == one.clip_ids


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_posterior_file_is_named(tmp_path, content):
    path = tmp_path / "bad.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.npz"):
        PosteriorSet.load(path)


def test_a_posterior_file_that_was_cut_short_is_named(tmp_path):
    make_set(0).save(tmp_path / "cut.npz")
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.npz"):
        PosteriorSet.load(tmp_path / "cut.npz")


def test_every_wrong_bit_of_a_posterior_file_is_noticed_or_does_no_harm(tmp_path):
    one, path = make_set(0), tmp_path / "one.npz"
    one.save(path)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.choice(8 * len(content), 300, replace=False):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            again = PosteriorSet.load(path)
        except DataError:
            continue
        np.testing.assert_array_equal(again.clip, one.clip)
        np.testing.assert_array_equal(again.frame, one.frame)
        assert (again.clip_ids, again.hop_s) == (one.clip_ids, one.hop_s)


def test_an_array_that_says_it_is_larger_or_smaller_is_refused(tmp_path):
    """NumPy reads as much as the header says, which need not be all."""
    path = tmp_path / "one.npz"
    make_set(0).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    for shape in (b"(1, 3), }", b"(9999999999, 3), }"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                file = io.BytesIO()
                np.save(file, array)
                content = file.getvalue()
                if name == "clip":
                    padding = b" " * (len(shape) - len(b"(2, 3), }"))
                    content = content.replace(b"(2, 3), }" + padding, shape)
                archive.writestr(f"{name}.npy", content)
        with pytest.raises(DataError, match=r"clip\.npy: not the bytes of float32"):
            PosteriorSet.load(path)


def test_a_file_under_another_name_is_a_warning_or_an_error(tmp_path, caplog):
    make_set(0).save(tmp_path / "epoch-1.npz")
    PosteriorSet.load(tmp_path / "epoch-1.npz", may_be_renamed=False)
    assert not caplog.messages
    path = (tmp_path / "epoch-1.npz").rename(tmp_path / "epoch-2.npz")
    PosteriorSet.load(path)
    assert "epoch-2.npz was written as epoch-1.npz" in caplog.text
    with pytest.raises(DataError, match=r"written as epoch-1\.npz"):
        PosteriorSet.load(path, may_be_renamed=False)
    with np.load(path) as archive:
        np.savez(path, **{**archive, "file_name": np.array("a\nerror: b" + "c" * 999)})
    PosteriorSet.load(path)  # whatever is in it, it is one line, and no long one
    assert "\n" not in caplog.messages[-1] and len(caplog.messages[-1]) < 700


def test_posteriors_of_version_0_1_are_read(tmp_path):
    one = make_set(0)
    one.save(tmp_path / "old.npz")
    with np.load(tmp_path / "old.npz") as archive:
        arrays = dict(archive)
    rules = json.loads(str(arrays["postprocessing"]))
    rules["gated"] = rules.pop("require_clip_tag")
    np.savez(tmp_path / "old.npz", **arrays | {"postprocessing": json.dumps(rules)})
    assert PosteriorSet.load(tmp_path / "old.npz").postprocessing == PLAIN


def test_fusing_is_the_mean():
    sets = [make_set(seed) for seed in range(3)]
    fused = fuse_posteriors(sets)
    np.testing.assert_allclose(
        fused.clip, np.mean([s.clip for s in sets], 0), rtol=1e-6
    )
    np.testing.assert_allclose(
        fused.frame, np.mean([s.frame for s in sets], 0), rtol=1e-6
    )


def test_fusing_brings_coarse_frames_to_the_finest():
    fine, coarse = make_set(0, 6, 0.1), make_set(1, 3, 0.2)
    fused = fuse_posteriors([coarse, fine])
    assert fused.hop_s == 0.1
    expected = (fine.frame + np.repeat(coarse.frame, 2, axis=1)) / 2
    np.testing.assert_allclose(fused.frame, expected, rtol=1e-6)


def test_a_fine_frame_takes_the_coarse_frame_that_its_middle_lies_in():
    fine, coarse = make_set(0, 6, 0.1), make_set(1, 3, 0.16)
    fused = fuse_posteriors([fine, coarse])
    # middles at 0.05, 0.15, 0.25 ... s; the last is after the last coarse frame
    expected = (fine.frame + coarse.frame[:, [0, 0, 1, 2, 2, 2]]) / 2
    np.testing.assert_allclose(fused.frame, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("Car", "Bus", "Train")}, "other classes"),
        ({"clip_ids": ("ä b", "a")}, "clip 1 is 'ä b', expected 'a'"),
    ],
)
def test_systems_that_do_not_belong_together_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        fuse_posteriors([make_set(0), dataclasses.replace(make_set(1), **change)])


def test_systems_of_more_and_fewer_clips_are_refused():
    one = make_set(0)
    part = {"clip_ids": ("a",), "clip": one.clip[:1], "frame": one.frame[:1]}
    with pytest.raises(DataError, match="1 clips, expected 2"):
        fuse_posteriors([one, dataclasses.replace(one, **part)])


@pytest.mark.parametrize("name", ["clip", "frame"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01])
def test_what_is_no_probability_is_refused_with_its_clip(name, value, tmp_path):
    one = make_set(0)
    values = getattr(one, name).copy()
    values[1, 2] = value
    match = f"'ä b': expected {name} posteriors.*got {value}"
    with pytest.raises(DataError, match=match):
        dataclasses.replace(one, **{name: values})
    one.save(tmp_path / "one.npz")
    with np.load(tmp_path / "one.npz") as archive:
        arrays = dict(archive) | {name: values}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=rf"bad\.npz: .*{match}"):
        PosteriorSet.load(tmp_path / "bad.npz")


def test_a_mean_may_be_beyond_one_by_rounding():
    one = make_set(0)
    clip = np.full_like(one.clip, np.nextafter(np.float32(1), np.float32(2)))
    assert (dataclasses.replace(one, clip=clip).clip > 1).all()


@pytest.mark.parametrize(
    "change",
    [
        {"clip": np.zeros((3, 3))},
        {"clip": np.zeros((2, 2))},
        {"frame": np.zeros((2, 6, 4))},
        {"frame": np.zeros((2, 6, 3, 1))},
    ],
)
def test_posteriors_of_other_shapes_are_refused(change):
    with pytest.raises(DataError, match=r"posteriors of clips \[2, 3\]"):
        dataclasses.replace(make_set(0), **change)


def test_posteriors_without_the_length_of_clips_are_read(tmp_path):
    dataclasses.replace(make_set(0), clip_s=0.5).save(tmp_path / "new.npz")
    assert PosteriorSet.load(tmp_path / "new.npz").clip_s == 0.5
    with np.load(tmp_path / "new.npz") as archive:
        arrays = {name: archive[name] for name in archive.files if name != "clip_s"}
    np.savez(tmp_path / "old.npz", **arrays)
    assert PosteriorSet.load(tmp_path / "old.npz").clip_s is None
