"""Where stores without an output go, and that they are found again there."""

from pathlib import Path

import pytest

from gcrnn_jax.data.preparation import cache_folder, cache_path
from gcrnn_jax.errors import ConfigError
from tests import defaults


def test_a_store_of_0_1_in_the_cache_is_found_again(monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", "/cache")
    path = cache_path("data", "/home/data", defaults.front_end().as_dict())
    assert str(path) == "/cache/data-eab6925cedd3"


def test_a_place_in_the_cache_depends_on_values_and_not_on_their_order():
    one = cache_path("data", {"training": 3, "testing": 2})
    assert cache_path("data", {"testing": 2, "training": 3}) == one
    assert cache_path("data", {"testing": 3, "training": 2}) != one
    assert cache_path("data", {"testing": 2, "training": 3}, 0) != one


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"GCRNN_CACHE": "/own", "XDG_CACHE_HOME": "/shared"}, "/own"),
        ({"XDG_CACHE_HOME": "/shared"}, "/shared/gcrnn_jax"),
        ({"GCRNN_CACHE": "", "XDG_CACHE_HOME": ""}, "~/.cache/gcrnn_jax"),
        ({}, "~/.cache/gcrnn_jax"),
    ],
)
def test_the_cache_is_in_the_first_folder_that_is_set(monkeypatch, variables, folder):
    for name in ("GCRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder).expanduser()


def test_without_a_home_nothing_is_kept(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("GCRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None
    with pytest.raises(ConfigError, match="no home.*GCRNN_CACHE"):
        cache_path("data")
    monkeypatch.setenv("GCRNN_CACHE", "/own")
    assert cache_folder() == Path("/own")
