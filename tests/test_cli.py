"""The command `gcrnn`: its verbs, and which configuration `train` takes."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

import gcrnn_jax
from configs import few_clips
from gcrnn_jax import cli, main
from gcrnn_jax.config import Config, flatten, load_config
from gcrnn_jax.errors import ConfigError

OWN_FILE = """
from configs import few_clips


def get_config():
    config = few_clips.get_config()
    config.model.filters = 9
    config.loss.clip = 0.5
    return config
"""


def run(*arguments):
    """The exit code and nothing else: 0 where the command returns."""
    try:
        cli.main(arguments)
    except SystemExit as end:
        return end.code
    return 0


def test_help_names_every_verb(capsys):
    for arguments in ([], ["-h"], ["--help"]):
        assert run(*arguments) == 0
        printed = capsys.readouterr().out
        for verb in cli._VERBS:
            assert f"\n    {verb}  " in printed


def test_the_version_is_that_of_the_package(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"gcrnn_jax {gcrnn_jax.__version__}\n"


def test_the_package_runs_as_the_command_does():
    command = [sys.executable, "-m", "gcrnn_jax"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and shown.stdout.strip() == cli.__doc__.strip()


@pytest.mark.parametrize("verb", ["evalute", "", "--config=sed", "main"])
def test_an_unknown_verb_is_a_bad_flag_and_names_those_that_there_are(verb, capsys):
    assert run(verb) == 2
    message = capsys.readouterr().err
    assert repr(verb) in message
    assert all(name in message for name in cli._VERBS)


@pytest.mark.parametrize("verb", cli._VERBS)
def test_a_verb_is_its_module_with_the_rest_of_the_line(verb, monkeypatch):
    module = {"train": "main", "average": "average_checkpoints"}.get(verb, verb)
    module, lines = importlib.import_module(f"gcrnn_jax.{module}"), []
    monkeypatch.setattr(module, "main", lines.append)
    cli.run_verb([verb, "--flag", "value"])
    [line] = lines
    assert line[1:] if verb == "train" else line == ["--flag", "value"]
    assert line[-2:] == ["--flag", "value"]


@pytest.mark.parametrize("verb", cli._VERBS)
def test_every_verb_has_help(verb, capsys):
    assert run(verb, "--help") == 0
    assert len(capsys.readouterr().out) > 200


@pytest.fixture
def train(monkeypatch, tmp_path):
    """What `gcrnn train` would train, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    trained = []
    monkeypatch.setattr(main, "run", lambda *run: trained.append(run))
    monkeypatch.setattr(main, "restart_tuned", lambda: None)

    def parse(*arguments) -> tuple[Config, Path]:
        line = ["gcrnn", "train", *arguments]
        monkeypatch.setattr("sys.argv", line)  # ml_collections looks there
        try:
            cli.run_verb(line[1:])
        finally:
            for name in list(flags.FLAGS):
                if name == "workdir" or name.startswith("config"):
                    delattr(flags.FLAGS, name)
        return trained.pop()

    return parse


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of ml_collections
@pytest.mark.parametrize(
    "arguments",
    [
        ["--config=few_clips"],
        ["--config", "few_clips"],
        ["--config=configs/few_clips.py"],
        ["-config=few_clips.py"],
    ],
)
def test_a_configuration_of_the_package_is_taken_by_name_from_anywhere(
    train, arguments
):
    assert not os.listdir()
    config, workdir = train(*arguments, "--config.model.filters=8")
    assert config == load_config("few_clips", **{"model.filters": 8})
    assert workdir == Path("runs/few_clips")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_of_ones_own_builds_on_those_of_the_package(train):
    Path("mine.py").write_text(OWN_FILE)
    config, workdir = train("--config=mine.py", "--workdir=here")
    changes = {"model.filters": 9, "loss.clip_weight": 0.5}
    assert config == load_config("few_clips", **changes)
    assert workdir == Path("here")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_flags_of_version_0_1_are_read(train):
    config, _ = train(
        "--config=sed",
        "--config.fusion.epochs=30:40:5",
        "--config.loss.attended",
        "--config.model.pooling=mean",
        "--config.sampling.size_steps=(3,)",
    )
    changes = {
        "fusion.first_epoch": 30,
        "fusion.last_epoch": 40,
        "fusion.every": 5,
        "loss.frame_attention": True,
        "model.clip_pooling": "mean",
        "sampling.class_size_thresholds": [3],
    }
    assert config == load_config("sed", **changes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.filters=8", "did you mean --config.model.filters?"),
        ("--config.model.filtrs=8", "did you mean --config.model.filters?"),
        ("--config.modl.filters=8", "did you mean --config.model.filters?"),
        (
            "--noconfig.model.gated_conv",
            "did you mean --config.model.gated_convolution?",
        ),
        ("--config.epochs=8", "did you mean --config.training.num_epochs?"),
        ("--config.model.blok[0]=8", "did you mean --config.model.blocks?"),
        ("--config.model=8", "--config.model is a section: expected --config.model.F"),
        ("--confg.model.filtrs=8", "did you mean --config.model.filters?"),
        ("--num_epochs=8", "did you mean --config.training.num_epochs?"),
        ("--wrokdir=x", "--wrokdir: unknown flag; did you mean --workdir?"),
        ("--xyz=x", "--xyz: unknown flag; known: --config, --config.SECTION.FIELD, "),
        ("--config.seed=x", "--config.seed: expected int, got 'x'"),
        ("--config.training.num_epochs=1.5", "num_epochs: expected int, got '1.5'"),
        ("-config.training.num_epochs=x", "num_epochs: expected int, got 'x'"),
        ("--config.sampling.balanced=2", "balanced: expected bool, got '2'"),
        ("--config.optimizer.eps=x=y", "eps: expected a finite number, got 'x=y'"),
        ("--config.optimizer.kind=x", "optimizer.kind: expected 'adam' or 'sgd' or"),
        ("--config.training.num_epochs", "flag --config.training.num_epochs"),
    ],
)
def test_a_flag_that_is_wrong_is_named_with_the_right_one(train, flag, message):
    with pytest.raises(ConfigError) as error:
        train("--config=sed", flag)
    assert message in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_field_that_a_file_of_an_earlier_version_lacks_is_to_be_added(train):
    text = OWN_FILE.replace("return", "del config.optimizer.clip_norm; return")
    Path("mine.py").write_text(text)
    assert train("--config=mine.py")[0].optimizer.clip_norm == 0.0
    with pytest.raises(ConfigError, match="clip_norm: mine.py has no such field, add"):
        train("--config=mine.py", "--config.optimizer.clip_norm=1.0")


def test_help_lists_the_fields_of_a_configuration(capsys):
    assert run("train", "--help", "--config=few_clips") == 0
    lines = capsys.readouterr().out.splitlines()
    fields = flatten(few_clips.get_config().to_dict())
    assert sum(line.startswith("--config.") for line in lines) == len(fields)
    [line] = [line for line in lines if "model.blocks" in line]
    assert line.split(maxsplit=1) == [
        "--config.model.blocks=(1,1,1,1)",
        "gated units a block",
    ]
    above = (
        "from clip to clip of a recording longer than front_end.clip_s; 0: no overlap"
    )
    [line] = [line for line in lines if "data.clip_hop_s" in line]
    assert line.split(maxsplit=1) == ["--config.data.clip_hop_s=0.0", above]
    assert run("train", "--help", "--config=nowhere") == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--confg=sed"], r"--confg: unknown flag; did you mean --config\?"),
        (["--config=sad"], "no file sad, and no configuration of the package"),
        (["--config=sed", "--config.model.filtres=8"], "filtres"),
        (["--config=sed", "--config.model.filters=many"], "filters"),
        (["--config=sed", "--config.model.filters=0"], "filters must be 1 or more"),
        (["--config=sed", "more"], r"unexpected arguments \['more'\]"),
        (["--config=sed", "--wrokdir=x"], "wrokdir"),
    ],
)
def test_a_mistake_in_the_flags_is_named(train, arguments, message):
    with pytest.raises(ConfigError, match=message):
        train(*arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_configuration_that_is_no_python_file_is_named(train):
    Path("config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"^config\.json: expected a Python file"):
        train("--config=config.json")
