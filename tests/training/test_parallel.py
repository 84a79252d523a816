"""Where compiled programs are kept: only where nobody else can write."""

import os
from typing import Any, cast

import jax
import pytest

from gcrnn_jax.training import parallel, processes


@pytest.fixture
def used_folder(monkeypatch):
    """A function: the folder that is used where one is offered; None: none is."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)

    def offer(folder):
        settings = {}
        monkeypatch.setattr(jax.config, "update", settings.__setitem__)
        parallel.use_compilation_cache(folder)
        return settings.get("jax_compilation_cache_dir")

    return offer


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022])
def test_a_new_folder_of_programs_is_the_users_alone(tmp_path, used_folder, umask):
    folder = tmp_path / "new" / "jax"
    before = os.umask(umask)
    try:
        assert used_folder(folder) == str(folder)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert used_folder(folder) == str(folder)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_is_not_used(tmp_path, used_folder, mode):
    tmp_path.chmod(mode)
    assert used_folder(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, used_folder):
    (tmp_path / "file").write_text("")
    assert used_folder(tmp_path / "file" / "jax") is None


def test_the_folder_in_the_environment_has_precedence(
    tmp_path, used_folder, monkeypatch
):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    assert used_folder(tmp_path / "jax") is None
    assert not (tmp_path / "jax").exists()


def test_a_process_ends_with_the_code_of_another_that_failed(monkeypatch):
    """A failure that is there when the process looks, and one that is not."""
    keys = {"gcrnn_jax/failed": "70"}

    class Client:
        def key_value_try_get(self, name):
            if name not in keys:
                raise jax.errors.JaxRuntimeError("NOT_FOUND")
            return keys[name]

        def key_value_set(self, name, value):
            keys[name] = value

        def key_value_dir_get(self, name):
            return [key for key in keys if key.startswith(name)]

    class Over:
        """An event that is set at the second look."""

        def __init__(self):
            self.looks = iter((False, True))

        def wait(self, _):
            return next(self.looks)

    codes, over = [], cast(Any, Over)
    jax.devices()  # a backend that starts would ask the client, too
    monkeypatch.setattr(processes.distributed.global_state, "client", Client())
    monkeypatch.setattr(processes, "exit_now", codes.append)
    processes._exit_when_another_fails(over())
    assert codes == [70] and "gcrnn_jax/heard/0" in keys
    del keys["gcrnn_jax/failed"]
    processes._exit_when_another_fails(over())
    assert codes == [70]
