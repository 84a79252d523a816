"""Parts of a store, in any order, at once or killed, make the store of one process."""

import functools
import os
import shutil
import threading
import warnings
from pathlib import Path

import distributed
import numpy as np
import pytest
import soundfile

from gcrnn_jax import prepare_folder, prepare_part
from gcrnn_jax.data import build_shards, parts, store_shards
from gcrnn_jax.data.atomic_files import move_content
from gcrnn_jax.data.build_store import StorePlan, build_store, plan_store
from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.parts import build_part, read_share
from gcrnn_jax.data.recording_source import RecordingSource, recording_sources
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError, DataError
from tests import defaults
from tests.stores import content

FRONT_END = defaults.front_end(clip_s=1.0)
SHARDS = {"clips_per_shard": 4, "max_bad_fraction": 0.3}


@pytest.fixture
def root(data_folder):
    """Seven shards of four clips or fewer; one clip is lost, another has events."""
    root = data_folder(training=18, testing=5)
    recording(root, 6).write_bytes(b"no audio")
    (root / "groundtruth_strong_label_testing_set.csv").write_text(
        "testing1_0.000_10.000.wav\t0.25\t0.5\tTrain\r\n"
    )
    return root


def recording(root, index, split="training"):
    return root / f"audio/{split}/Y{split}{index}_0.000_10.000.wav"


def arguments(root):
    dataset = find_splits(root)
    sources, findings = recording_sources(dataset, FRONT_END)
    return (sources, FRONT_END, dataset.classes), {"list_findings": findings, **SHARDS}


def part(root, path, number, num_parts, **changes):
    positional, options = arguments(root)
    return build_part(path, *positional, (number, num_parts), **{**options, **changes})


def finish(root, path, **changes):
    positional, options = arguments(root)
    return build_store(path, *positional, **{**options, **changes})


def times(path) -> dict:
    """When each file of a shard was written."""
    return {file: file.stat().st_mtime_ns for file in path.glob("*/shard-*")}


def whole(root, tmp_path) -> dict:
    finish(root, tmp_path / "whole")
    return content(tmp_path / "whole")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 2, 1)])
def test_parts_in_any_order_make_the_store_of_one_process(
    root, tmp_path, order, monkeypatch
):
    path, built = tmp_path / "store", []
    for number in order:
        done = part(root, path, number, 3)
        assert done.num_shards == (3 if number == 1 else 2)
        built += [number] * done.num_built
    assert sorted(built) == [1, 1, 1, 2, 2, 3, 3]  # each shard once
    assert not (path / "card.json").exists()
    with monkeypatch.context() as patch:  # nothing is left to be computed
        patch.setattr(store_shards, "featurise", None)
        finish(root, path)
    assert content(path) == whole(root, tmp_path)
    assert not (path / ".next").exists()


def test_parts_at_the_same_time_make_the_same_store(root, tmp_path):
    """Each twice, in one process and so as threads, as a worker of Dask has them."""
    path, done, numbers = tmp_path / "store", [], (1, 2, 3, 1, 2, 3)
    start = threading.Barrier(len(numbers))

    def run(number):
        start.wait()
        done.append(part(root, path, number, 3).part)

    threads = [threading.Thread(target=run, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(numbers)
    finish(root, path)
    assert content(path) == whole(root, tmp_path)


def test_a_shard_that_another_has_finished_meanwhile_is_taken_as_it_is(
    root, tmp_path, monkeypatch
):
    path, write, before = tmp_path / "store", build_shards.ShardSet._write, {}

    def written_meanwhile(self, job, clips):
        if not before:
            monkeypatch.undo()
            part(root, path, 3, 3)
            before.update(times(path))
        write(self, job, clips)

    monkeypatch.setattr(build_shards.ShardSet, "_write", written_meanwhile)
    assert part(root, path, 3, 3).num_shards == 2
    assert len(before) == 4
    assert times(path) == before


def test_a_part_that_comes_late_finds_the_store_finished(root, tmp_path, monkeypatch):
    """The store is sealed while the part has a shard half written."""
    path, sync, written = tmp_path / "store", os.fsync, []

    def sealed_meanwhile(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith(".tmp") and not written:
            written.append(Path(name))
            assert finish(root, path) and not written[0].exists()
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sealed_meanwhile)
        assert part(root, path, 1, 3).num_shards == 3
    assert written
    assert content(path) == whole(root, tmp_path)


def test_a_store_that_parts_replace_works_until_it_is_sealed(root, tmp_path, capsys):
    path = tmp_path / "store"
    finish(root, path)
    before = content(path)
    soundfile.write(recording(root, 9), 0.5 * np.ones(8000), 16000)
    assert [part(root, path, number, 3).num_built for number in (1, 2, 3)] == [0, 0, 1]
    assert {name: content(path)[name] for name in before} == before
    assert len(FeatureStore.open(path).splits["training"]) == 17
    finish(root, path)
    assert content(path) == whole(root, tmp_path) != before
    assert [part(root, path, number, 3).num_built for number in (1, 2, 3)] == [0, 0, 0]
    assert content(path) == content(tmp_path / "whole")  # and nothing is left behind


def test_shards_of_parts_are_found_where_the_store_that_they_replace_is_gone(
    root, tmp_path, monkeypatch
):
    path = tmp_path / "store"
    finish(root, path)
    soundfile.write(recording(root, 9), 0.5 * np.ones(8000), 16000)
    part(root, path, 3, 3)
    (path / "card.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(store_shards, "featurise", None)
        finish(root, path)
    assert content(path) == whole(root, tmp_path)


def test_parts_that_are_missing_are_said_and_built(root, tmp_path, capsys):
    path = tmp_path / "store"
    (path / ".next/parts").mkdir(parents=True)  # whose part was killed at once
    (path / ".next/parts/.nfs01").touch()  # a file that was removed while it was open
    assert parts._last_num_parts(path) == 0
    part(root, path, 1, 5)  # of an earlier division
    os.utime(path / ".next/parts/1-of-5", ns=(0, 0))
    part(root, path, 2, 3)
    capsys.readouterr()
    finish(root, path)
    printed = capsys.readouterr().err
    assert f"{path}: 3 of 7 shards are missing, of part 1/3, 3/3: built now" in printed
    assert content(path) == whole(root, tmp_path)


def test_a_part_looks_at_its_own_recordings_alone(root, tmp_path, monkeypatch):
    seen, cache_key = [], RecordingSource.cache_key
    monkeypatch.setattr(
        RecordingSource,
        "cache_key",
        lambda self, index: seen.append(self.clip_ids[index]) or cache_key(self, index),
    )
    part(root, tmp_path / "store", 3, 3)
    expected = [f"training{i}_0.000_10.000" for i in range(8, 12)]
    assert seen == [*expected, *(f"testing{i}_0.000_10.000" for i in range(4))]


def test_what_a_part_loses_is_said_and_the_whole_is_judged_at_the_end(root, tmp_path):
    """A part ends early only if it alone loses more than all may: 3 of 23."""
    path, limit = tmp_path / "store", {"max_bad_fraction": 3 / 23}
    assert part(root, path, 1, 7, **limit).num_lost == 0
    said = str(part(root, path, 2, 7, **limit))
    assert (
        "part 2/7: 4 clips; 1 of 1 shards built now; 1 of the clips cannot be" in said
    )
    assert "training6_0.000_10.000.wav:7: FORMAT: " in said
    for index in (16, 17):
        recording(root, index).unlink()
    said = str(part(root, path, 5, 7, **limit))
    assert "none of the clips can be used" in said and "MISSING" in said
    finish(root, path, **limit)
    recording(root, 3).unlink()
    part(root, path, 1, 7, **limit)
    with pytest.raises(DataError, match=r"4 of 23 clips .* all are in .*rejects\.csv"):
        finish(root, path, **limit)
    for index in (0, 1, 2):
        recording(root, index).unlink()
    with pytest.raises(DataError, match="preparing part 1/7: 4 of 23 clips cannot"):
        part(root, path, 1, 7, **limit)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_part_that_there_is_not_is_refused(root, tmp_path, number):
    with pytest.raises(ConfigError, match=f"from 1/3 to 3/3, got {number}/3"):
        part(root, tmp_path / "store", number, 3)


def test_more_parts_than_shards_do_no_harm(root, tmp_path):
    path = tmp_path / "store"
    assert sum(part(root, path, number, 9).num_built for number in range(1, 10)) == 7
    assert part(root, path, 9, 9).num_shards == 0
    finish(root, path)
    assert content(path) == whole(root, tmp_path)


def plan(root, path, **changes) -> StorePlan:
    positional, options = arguments(root)
    planned = plan_store(path, *positional, **{**options, **changes})
    assert isinstance(planned, StorePlan)
    return planned


def test_shares_need_neither_lists_nor_the_recordings_of_others(
    root, tmp_path, monkeypatch
):
    path, expected = tmp_path / "store", whole(root, tmp_path)
    part(root, path, 2, 3)  # these two shards are not dealt out
    planned = plan(root, path)
    with planned.held():
        assert planned.share(2)
        counts = []
        for number in (1, 2):
            copy = tmp_path / f"machine{number}"
            shards = read_share(
                path,
                number,
                FRONT_END,
                lambda share, copy=copy: RecordingSource.from_share(
                    str(copy), FRONT_END, share
                ),
            )
            for job in shards.jobs:
                for index in job.clips:
                    name, _ = shards.sources[job.split].location(index)
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(root / name, copy / name)
            shards.build(0)
            counts.append(len(shards.ledgers))
        assert counts == [3, 2]
        with monkeypatch.context() as patch:
            patch.setattr(store_shards, "featurise", None)
            planned.finish(0)
    assert content(path) == expected


def test_a_damaged_share_is_noticed(root, tmp_path):
    path = tmp_path / "store"
    planned = plan(root, path)
    with planned.held():
        planned.share(1)
    file = path / ".next/shares/1.json"
    file.write_text(file.read_text().replace("training5", "training7"))
    with pytest.raises(DataError, match=r"shares/1\.json: damaged"):
        read_share(path, 1, FRONT_END, lambda share: pytest.fail(str(share)))


def test_shares_of_a_start_that_was_killed_are_replaced(root, tmp_path, fails_at):
    path = tmp_path / "store"
    planned = plan(root, path)
    with fails_at("prepare.share:raise"), planned.held():
        planned.share(3)
    with planned.held():
        planned.share(2)
        assert {file.name for file in (path / ".next/shares").iterdir()} == {
            "1.json",
            "2.json",
        }
        planned.finish(0)
    assert content(path) == whole(root, tmp_path)


def test_nothing_is_shared_where_another_process_has_finished(root, tmp_path):
    path = tmp_path / "store"
    planned = plan(root, path)
    finish(root, path)
    before = content(path)
    with planned.held():
        assert not planned.share(2)
        assert planned.finish(0).path == path
    assert content(path) == before


@pytest.mark.parametrize("fault", ["write.rename@3:kill", "prepare.ledger@2:kill"])
def test_a_part_that_is_killed_loses_the_shard_at_work_alone(
    commands, data_folder, tmp_path, fault
):
    root = data_folder(training=6, validation=3, testing=3, evaluation=3)
    command = ("--root", root, "--workers", 1, "--output")
    for name in ("store", "one"):
        (tmp_path / name).mkdir()
    options = {"module": "gcrnn_jax.prepare"}
    line = (*command, tmp_path / "store", "--part", "1/2")
    assert commands.run_process(*line, **options, failpoint=fault).returncode == -9
    again = commands.run(*line, **options)
    assert "part 1/2: 9 clips; 1 of 2 shards built now\n" in again.stdout
    assert "preparing part 1/2: 9/9 clips, " in again.stderr
    assert commands.run(*line[:-1], "2/2", **options).returncode == 0
    assert commands.run(*line[:-2], **options).returncode == 0
    assert commands.run(*command, tmp_path / "one", **options).returncode == 0
    assert content(tmp_path / "store") == content(tmp_path / "one")


def test_a_move_that_two_processes_do_at_once_loses_nothing(tmp_path, monkeypatch):
    """The second does all of it while the first is at its file of any number."""
    replace = os.replace
    for place in range(3):
        folder, target = tmp_path / f"{place}/new", tmp_path / f"{place}/store"
        folder.mkdir(parents=True)
        target.mkdir()
        for name in ("a", "b", "card"):
            (folder / name).write_text(f"new {name}")
            (target / name).write_text(f"old {name}")
        moved = []

        def both(source, to, place=place, moved=moved, folders=(folder, target)):
            moved.append(source)
            if len(moved) == place + 1:
                move_content(*folders, "card")
            replace(source, to)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", both)
            move_content(folder, target, "card")
        expected = {name: f"new {name}".encode() for name in ("a", "b", "card")}
        assert content(target) == expected and not folder.exists()


def test_workers_of_dask_make_the_store_of_one_process(data_folder, tmp_path):
    """In processes of two threads each; one part is asked for twice."""
    root = data_folder(training=6, validation=3, testing=3, evaluation=3)
    data, rest = (str(root), str(tmp_path / "store"), FRONT_END), {"num_workers": 0}
    rest["max_bad_fraction"] = 0.01
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": ":0"}
    with (
        warnings.catch_warnings(action="ignore"),  # of what Dask brings
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        number = [1, 2, 3, 4, 2]
        done = client.map(
            functools.partial(prepare_part, *data, num_parts=4, **rest),
            number,
            pure=False,  # or the two would be one call
        )
        prepared = client.gather(done)
    assert [part.part for part in prepared] == number
    assert [part.num_clips for part in prepared] == [6, 3, 3, 3, 3]
    prepare_folder(*data, **rest)
    defaults.prepare(root, tmp_path / "one", FRONT_END)
    assert content(tmp_path / "store") == content(tmp_path / "one")
