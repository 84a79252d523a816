"""Where compiled programs are kept: only where nobody else can write."""

import os

import jax
import pytest

from gcrnn_jax.training import parallel


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
