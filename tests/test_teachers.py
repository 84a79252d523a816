"""Teachers that the same command trains: what they find is learnt from."""

import dataclasses

import jax
import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.inference import TrainedModel
from gcrnn_jax.runs import Run
from gcrnn_jax.runs.kept_posteriors import predict_fused
from gcrnn_jax.runs.supervision import supervised
from gcrnn_jax.runs.teachers import Found, with_found, write_found
from gcrnn_jax.training import parallel
from gcrnn_jax.training.phases import read_account
from tests.conftest import make_folder
from tests.defaults import config

LENGTH = (
    "--config.training.num_epochs=2",
    "--config.training.steps_per_epoch=1",
    "--config.training.soundscape_epochs=1",
    "--config.training.teachers=2",
    "--config.training.teacher_epochs=1",
    "--config.data.speeds=(0.8,)",
)
IN_TEACHER_2 = "train.step@3:raise"  # one step is of soundscapes, one of teacher 1
IN_RUN = "train.step@4:raise"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    sizes = {"training": 6, "validation": 2}
    return make_folder(tmp_path_factory.mktemp("data"), sizes)


@pytest.fixture(scope="module")
def train(commands, root, without_page):
    fields = (*commands.SMALLEST, *LENGTH, f"--config.data.root={root}")
    return lambda workdir, *flags: commands.main(workdir, *fields, *flags)


@pytest.fixture(scope="module")
def taught(train, tmp_path_factory):
    """A run that was never stopped, and what it printed."""
    workdir = tmp_path_factory.mktemp("taught") / "run"
    result = train(workdir)
    assert result.returncode == 0, result.stderr
    return Run.open(workdir), result.stdout


def test_each_teacher_is_asked_of_the_clips_it_was_not_trained_on(taught):
    run, printed = taught
    whole = run.open_store().splits["training"]
    found, asked = np.load(run.found_frames), set()
    for teacher in run.teachers:
        store = teacher.open_store()
        trained, held_out = store.splits["training"], store.splits["held_out"]
        assert not {*trained.clip_ids} & {*held_out.clip_ids}
        posteriors = predict_fused(
            teacher, teacher.config.fusion, held_out, model_of(teacher, store)
        )
        heard = trained.weak_label.any(0)
        for clip_id, frames in zip(held_out.clip_ids, posteriors.frame, strict=True):
            row = whole.clip_ids.index(clip_id)
            is_found = not (whole.weak_label[row] & ~heard).any()
            expected = frames.astype(np.float16) if is_found else -1
            np.testing.assert_array_equal(found[row], expected)
            asked.add(clip_id)
    assert asked == {*whole.clip_ids} and len(asked) == 12
    assert printed.index("teacher 2 of 2") < printed.index("then with what they found")


def model_of(run, store):
    return TrainedModel.create(run.card(store), None, mesh=parallel.make_mesh())


def test_teachers_start_from_the_model_of_soundscapes_that_the_run_starts_from(taught):
    run, _ = taught
    starts = [one.start_path for one in (run, *run.teachers)]
    assert set(starts) == {run.folder / "soundscapes" / "averaged"}
    assert all(teacher.start.exists() for teacher in run.teachers)


def test_stopping_it_among_teachers_changes_nothing(taught, train, fails_at, tmp_path):
    with fails_at(IN_TEACHER_2):
        train(tmp_path)
    result = train(tmp_path)
    assert result.returncode == 0, result.stderr
    own, expected = Run.open(tmp_path), taught[0]
    jax.tree.map(
        np.testing.assert_array_equal, own.load_epoch(2)[1], expected.load_epoch(2)[1]
    )
    account = read_account(tmp_path / "goodput.json")
    assert (account["starts"], account["steps"], account["next_step"]) == (2, 5, 5)


def test_what_was_found_in_other_clips_is_not_learnt(train, fails_at, tmp_path):
    with fails_at(IN_RUN):
        train(tmp_path / "run")
    other = make_folder(tmp_path / "data", {"training": 7, "validation": 2})
    result = train(tmp_path / "run", f"--config.data.root={other}")
    assert result.returncode == 65
    assert "training clips have changed since the run in" in result.stderr
    assert "teacher 1" not in result.stdout  # they are done


def test_what_they_found_changes_what_is_learnt(taught, train, tmp_path):
    result = train(tmp_path, "--config.training.teachers=0")
    assert result.returncode == 0, result.stderr
    own, other = (run.load_epoch(2)[1] for run in (taught[0], Run.open(tmp_path)))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), own, other)
    assert max(jax.tree.leaves(moved)) > 0


def test_found_frames_are_labels_of_the_classes_that_a_clip_has(taught):
    run, _ = taught
    store = run.open_store()
    split = supervised(store.splits["training"], run.config.loss, 0.02)
    split = with_found(run, split)
    found, rows = np.load(run.found_frames), np.array([3, 0])
    assert (split.known == 2).all()
    label = split.strong_label[rows]
    assert label.shape == (2, split.frame_shape[0], len(split.class_names))
    for of_clip, row in zip(label, rows, strict=True):
        expected = found[row].astype(np.float32) * split.weak_label[row]
        reduction = run.config.model.time_reduction
        for frame, of_frame in enumerate(of_clip):
            np.testing.assert_array_equal(of_frame, expected[frame // reduction])


def test_clips_keep_the_strong_labels_that_they_have(taught):
    run, _ = taught
    whole = run.open_store().splits["training"]
    known = np.array([2, 1, 0, *[1] * 9], np.int8)
    events = {whole.clip_ids[0]: ((0.0, 0.1, whole.class_names[0]),)}
    mixed = dataclasses.replace(whole, known=known, events=events)
    own = supervised(mixed, run.config.loss, 0.02)
    split = with_found(run, own)
    rows = np.arange(12)
    np.testing.assert_array_equal(split.known, [2, 2, 0, *[2] * 9])
    np.testing.assert_array_equal(
        split.strong_label[rows][0], own.strong_label[rows][0]
    )
    assert not split.strong_label[rows][0][10:].any()


def test_a_class_that_a_teacher_never_heard_is_taught_by_the_label_alone(
    taught, tmp_path
):
    run = dataclasses.replace(taught[0], folder=tmp_path)
    split = taught[0].open_store().splits["training"]
    frame = np.full((12, 20, 3), 0.5, np.float32)
    posteriors = PosteriorSet(
        *(split.clip_ids, split.class_names, 0.04),
        *(frame[:, 0], frame, run.config.postprocessing),
    )
    run.found_frames.parent.mkdir()
    heard = np.array([True, True, False])
    write_found(run, split, [Found(posteriors, heard)])
    known = with_found(run, split).known
    np.testing.assert_array_equal(known == 2, ~split.weak_label[:, 2])
    assert 0 < (known == 1).sum() < 12


def test_parts_that_cannot_be_are_named_before_a_teacher_is_trained(train, tmp_path):
    other = make_folder(tmp_path / "data", {"training": 1, "validation": 2})
    result = train(tmp_path / "run", f"--config.data.root={other}")
    assert result.returncode == 65 and "teacher 1" not in result.stdout
    assert "error: training.teachers: " in result.stderr


def test_a_finished_run_needs_them_no_more(taught, train):
    folder = taught[0].folder
    (folder / "teachers").rename(folder / "elsewhere")
    again = train(folder)
    (folder / "elsewhere").rename(folder / "teachers")
    assert again.returncode == 0, again.stderr
    assert "teacher 1" not in again.stdout


def test_damaged_frames_are_named(taught, tmp_path):
    run = dataclasses.replace(taught[0], folder=tmp_path)
    split = taught[0].open_store().splits["training"]
    run.found_frames.parent.mkdir()
    np.save(run.found_frames, np.zeros((5, 2, 3), np.float16))
    with pytest.raises(DataError, match=r"found\.npy: damaged posteriors of teachers"):
        with_found(run, split)


def test_members_have_the_same_teachers(tmp_path):
    fields = {"data.root": "clips", "training.teachers": 2, "ensemble.members": 2}
    run = Run(tmp_path, config(**fields))
    folders = [one.folder for member in run.members for one in member.teachers]
    assert folders == [tmp_path / "teachers" / number for number in "1212"]
    other = {"ensemble.differing": (("model.filters", (64, 16)),)}
    run = Run(tmp_path, config(**fields, **other))
    assert run.members[1].teachers[0].folder == run.members[1].folder / "teachers/1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training.teachers": 1}, "2 or more of 1 or more epochs"),
        ({"training.teachers": 2, "training.teacher_epochs": 0}, "2 or more of 1"),
        ({"training.teachers": 2, "loss.strong_weight": 0.0}, "learns nothing"),
        ({"training.teachers": 2, "data.held_out_fraction": 0.1}, "fraction 0"),
        ({"training.teachers": 2, "loss.frame_weight": 1.0}, "expected 0"),
    ],
)
def test_teachers_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        config(**fields)
