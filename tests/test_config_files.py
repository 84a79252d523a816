"""Configurations by name and path; what is wrong with a file is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from configs import best, mlp
from gcrnn_jax.config import Config, field_names, find_config, load_config
from gcrnn_jax.errors import ConfigError
from tests.defaults import values

SECTIONS = [*field_names({}).needed]
OF_SED = """from ml_collections import ConfigDict
from gcrnn_jax.configs import sed
def get_config():
    c = sed.get_config()
"""


def test_a_configuration_is_loaded_by_name_by_path_and_with_changes(tmp_path):
    assert load_config("sed") == Config.from_dict(values())
    assert load_config("configs/best.py") == Config.from_dict(values(best))
    path = tmp_path / "mine.py"
    path.write_text(
        "from configs import mlp\n\n"
        "def get_config():\n"
        "    config = mlp.get_config()\n"
        "    config.training.num_epochs = 250\n"
        "    return config\n"
    )
    expected = values(mlp, training={"num_epochs": 250}, model={"hidden": (7,)})
    changes = {"model.hidden": [7], "seed": 4}
    assert load_config(path, **changes) == Config.from_dict({**expected, "seed": 4})
    with pytest.raises(
        ConfigError, match=r"model.hiden: unknown .* mean model.hidden\?"
    ):
        load_config("mlp", **{"model.hiden": [7]})


def test_a_name_that_there_is_not_names_those_that_there_are(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"no file sad, .*: at, .*few_clips, .*"):
        find_config("sad")
    with pytest.raises(ConfigError, match="no file elsewhere/sed.py"):
        find_config("elsewhere/sed.py")
    packaged = find_config("sed")
    monkeypatch.chdir(tmp_path)
    assert find_config("configs/sed.py") == packaged
    assert find_config("few_clips").name == "few_clips.py"
    own = tmp_path / "configs" / "sed.py"
    own.parent.mkdir()
    own.write_text("")
    assert find_config("configs/sed.py") == Path("configs/sed.py")  # one's own
    assert find_config("sed") == packaged


def test_the_package_without_its_configuration_brings_no_jax():
    code = "import sys, gcrnn_jax; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", r":1: SyntaxError: .+"),
        ("\nx = 1 / 0", ":2: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", ":1: ModuleNotFoundError: No module .+"),
        ("def get_config():\n    return {}['a']", ":2: KeyError: a"),
        ("def get_config():\n    return {}", ": .+ expected a ConfigDict, got dict"),
        ("get_something = None", ": AttributeError: .+get_config.+"),
        (OF_SED + "    c.modl.filters = 8\n    return c", ":5: .+ 'modl' Did you .+"),
        (OF_SED + "    c.model.filtrs = 8\n    return c", ": .+ did you .+filters."),
    ],
)
def test_a_file_that_gives_no_configuration_is_named_in_one_line(
    tmp_path, text, message
):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.py{message}$") as error:
        load_config(tmp_path / "mine.py")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ("del c.model.filters", ["  fields of section model: filters"]),
        ("del c.model; del c.seed", ["  seed", "  section model: kind"]),
        ("del c.fusion", ["  section fusion: first_epoch, last_epoch, every, first_"]),
        ("del c.front_end", ["  section front_end: kind, sample_rate_hz, window, "]),
        ("c = ConfigDict()", ["  seed", *[f"  section {n}: " for n in SECTIONS]]),
    ],
)
def test_a_file_that_lacks_something_names_it_and_how_to_begin(
    tmp_path, changes, lines
):
    (tmp_path / "mine.py").write_text(f"{OF_SED}    {changes}\n    return c\n")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "mine.py")
    first, *found, last = str(error.value).split("\n")
    assert first == f"{tmp_path}/mine.py lacks" and "sed.get_config()" in last
    assert len(found) == len(lines)
    assert all(map(str.startswith, found, lines))


def test_a_change_of_a_section_that_there_is_not_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"^modl\.filters: .* mean model\.filters"):
        load_config("sed", **{"modl.filters": 3})
