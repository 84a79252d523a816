"""What is installed from a wheel runs from any folder, without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

PARTS = ("gcrnn_jax", "configs", "pyproject.toml", "README.md", "LICENSE")


def run(*line, cwd, code=0, **environment):
    """What a command prints; it must end with this exit code, and no traceback."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [*map(str, line)],
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def wheel(commands, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PARTS:
        path = commands.ROOT / name
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(path, source)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of an environment with the wheel, and with our dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python, "install")
    run(*pip, "--no-deps", "--no-index", "--no-compile", wheel, cwd=folder)
    [packages] = folder.glob("lib/python*/site-packages")
    # its .pth files, as that of an editable install, do not count
    (packages / "dependencies.pth").write_text(str(Path(np.__file__).parents[1]) + "\n")
    return folder / "bin"


def test_the_wheel_holds_configurations_page_and_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "gcrnn_jax/py.typed",
        "gcrnn_jax/configs/sed.py",
        "gcrnn_jax/configs/laptop.py",
        "gcrnn_jax/report/html/page.html",
    } <= names
    folders = {name.split("/")[0] for name in names}
    assert len(folders) == 2 and "gcrnn_jax" in folders  # and what pip wants to know


def test_the_package_comes_from_the_wheel(installed, tmp_path):
    program = "import gcrnn_jax; print(gcrnn_jax.__file__, gcrnn_jax.__version__)"
    path, version = run(installed / "python", "-c", program, cwd=tmp_path).split()
    assert Path(path).is_relative_to(installed.parent)
    assert run(installed / "gcrnn", "--version", cwd=tmp_path).split()[-1] == version


def test_every_verb_has_help(installed, tmp_path):
    lines = run(installed / "gcrnn", "--help", cwd=tmp_path).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Verbs"))
    verbs = [line.split()[0] for line in lines[start + 1 :] if line.strip()]
    assert {"train", "predict", "evaluate", "check", "export"} <= set(verbs)
    program = f"""if True:
        import contextlib, io, sys
        from gcrnn_jax import cli
        for verb in {verbs}:
            text, sys.argv = io.StringIO(), ["gcrnn", verb, "--help"]
            try:
                with contextlib.redirect_stdout(text):
                    cli.main()
            except SystemExit as end:
                assert not end.code, verb
            if "gcrnn" in text.getvalue():
                print(verb)
    """
    assert run(installed / "python", "-c", program, cwd=tmp_path).split() == verbs
    wrong = run(installed / "gcrnn", "trian", cwd=tmp_path, code=2)
    assert "trian" in wrong and "train" in wrong


def test_every_configuration_is_found_by_name_and_path(installed, tmp_path):
    names = {path.stem for path in Path("configs").glob("[a-z]*.py")}
    names = sorted(names - {"embeddings"})  # which needs a file of one's own
    program = f"""if True:
        from gcrnn_jax.config import find_config, read_config_file
        for name in {names}:
            by_name, by_path = map(find_config, (name, f"configs/{{name}}.py"))
            assert read_config_file(by_name) == read_config_file(by_path)
            print(name)
    """
    assert run(installed / "python", "-c", program, cwd=tmp_path).split() == names


def test_a_system_is_trained_from_any_folder(installed, commands, tmp_path):
    fields = [
        field
        for field in commands.TINY
        if not field.startswith(("--config=", "--config.fusion"))
    ]
    fields += ["--config.training.num_epochs=1", "--config.fusion.epochs=1"]
    fields += commands.SMALLEST
    cache = {"GCRNN_CACHE": str(commands.cache)}
    line = (installed / "gcrnn", "train", "--config=laptop", *fields)
    printed = run(*line, cwd=tmp_path, **cache)
    assert "Civil defense siren" in printed
    assert (tmp_path / "runs/laptop/results/testing/report.html").is_file()
    # what is there is found by the path of the old command, too
    line = (installed / "python", "-m", "gcrnn_jax.main", "--config=configs/none.py")
    assert "configs/none.py" in run(*line, cwd=tmp_path, code=2)
