"""The command line of training -> a configuration and a folder; mistakes are named."""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from gcrnn_jax.config import Config, field_names, find_config, read_config_file
from gcrnn_jax.errors import ConfigError, message_of
from gcrnn_jax.fields import describe, flatten, nearest, user_path
from gcrnn_jax.old_names import flags_with_todays_names, with_todays_names

_OWN = ("config", "workdir")
# in a file: remarks in lines above, the name, the remark behind the value
_SETTING = re.compile(
    r"((?:^ *# .*\n)*)^ *config\.([\w.]+) = [^#\n]*?(?:  # (.*))?$", re.M
)
_FIELD = re.compile(r"--?(?:no)?config\.([^=\[]+)")  # of a flag that sets one


def parse(argv: Sequence[str]) -> tuple[Config, Path]:
    """The configuration and the folder of the run that a command line asks for.

    Args:
        argv: The name of the command, then its arguments.

    Raises:
        ConfigError: There is a mistake in them; names the flag, what was expected and
            what came.
    """
    argv, path = _with_config_file(flags_with_todays_names(argv))
    values = read_config_file(path)  # ml_collections tells less of what is wrong in it
    _check_fields(argv, values, path)
    _define_flags(argv)
    before, sys.argv = sys.argv, argv  # where ml_collections finds what is set
    try:
        rest = flags.FLAGS(argv)
        values = flags.FLAGS.config.to_dict()
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error.flagname, values) from error
    except flags.Error as error:
        raise _illegal_value(error, argv, values) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"bad --config override: {message_of(error)}") from error
    except (ImportError, OSError) as error:
        raise ConfigError(f"--config: {error}") from error
    finally:
        sys.argv = before
    if len(rest) > 1:
        raise ConfigError(f"unexpected arguments {rest[1:]}: flags start with --")
    workdir = user_path(flags.FLAGS.workdir or f"runs/{path.stem}")
    return Config.from_dict(values), workdir


def list_fields(argv: Sequence[str]) -> list[str]:
    """Lines with all fields of the configuration that a command line names.

    Each is a flag with its value, and what the files of the package say of it.

    Raises:
        ConfigError: There is no such configuration.
    """
    _, path = _with_config_file(flags_with_todays_names(argv))
    remarks: dict[str, str] = {}
    for file in (find_config("sed"), path):
        text = file.read_text(encoding="utf-8", errors="replace")
        for above, name, beside in _SETTING.findall(text):
            if remark := beside or " ".join(re.findall("# (.*)", above)):
                remarks[name] = remark
    fields = flatten(read_config_file(path)).items()
    flags = {f"--config.{name}={_as_flag(value)}": name for name, value in fields}
    return [
        f"{flag:50}  {remarks.get(name, '')}".rstrip() for flag, name in flags.items()
    ]


def _as_flag(value: Any) -> str:
    if isinstance(value, list):
        return f"({','.join(map(repr, value))}{',' * (len(value) == 1)})"
    return str(value)


def _with_config_file(argv: list[str]) -> tuple[list[str], Path]:
    """Puts the path of the configuration in the place of its name; returns both."""
    for place, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            if not equals and place + 1 < len(argv):
                value = argv.pop(place + 1)
            path = find_config(value)
            argv[place] = f"--config={path}"
            return argv, path
    for argument in argv[1:]:
        name = argument.lstrip("-").split("=")[0]
        if argument.startswith("-") and difflib.get_close_matches(name, ["config"]):
            raise ConfigError(f"--{name}: unknown flag; did you mean --config?")
    raise ConfigError("--config is missing, such as --config=configs/sed.py")


def _check_fields(argv: list[str], values: Mapping[str, Any], path: Path) -> None:
    """Raises ConfigError for a flag of a field that the file does not have."""
    names, found = field_names(with_todays_names(values)), flatten(values)
    for argument in argv[1:]:
        field = _FIELD.match(argument)
        if not field or field[1] in found:
            continue
        if field[1] in values:
            flag = f"--config.{field[1]}"
            raise ConfigError(f"{flag} is a section: expected {flag}.FIELD=VALUE")
        if field[1] in names.types:
            raise ConfigError(f"--config.{field[1]}: {path} has no such field, add it")
        raise names.error(field[1], prefix="--config.")


def _define_flags(argv: list[str]) -> None:
    """Defines --config, the fields that argv sets, and --workdir anew."""
    for name in list(flags.FLAGS):
        if name == "workdir" or name.split(".")[0] == "config":
            delattr(flags.FLAGS, name)
    config_flags.DEFINE_config_file(
        "config",
        None,
        "the configuration, such as configs/sed.py",
        lock_config=True,
        sys_argv=argv,  # or fields are looked for among the arguments of the process
    )
    flags.DEFINE_string(
        "workdir", None, "folder of the run; default: runs/NAME of the config file"
    )


def _unknown_flag(name: str, values: Mapping[str, Any]) -> ConfigError:
    first, _, field = name.partition(".")
    own = difflib.get_close_matches(first, _OWN, n=1)
    types = field_names(with_todays_names(values)).types
    if own and not field:
        hint = f"did you mean --{own[0]}?"
    else:
        hint = nearest(field if own else name, types, prefix="--config.")
    known = "known: --config, --config.SECTION.FIELD, --workdir"
    return ConfigError(f"--{name}: unknown flag; {hint or known}")


def _illegal_value(
    error: flags.Error, argv: list[str], values: Mapping[str, Any]
) -> ConfigError:
    """The error for a value that a flag cannot have, with the type of its field."""
    types = field_names(with_todays_names(values)).types
    found = re.match(r"flag --config\.([\w.]+)", str(error))
    if not found or found[1] not in types:
        return ConfigError(str(error))
    flag = f"--config.{found[1]}"
    setting = rf"--?config\.{re.escape(found[1])}="
    came = [one.partition("=")[2] for one in argv if re.match(setting, one)]
    expected = f"{flag}: expected {describe(types[found[1]])}"
    return ConfigError(f"{expected}, got {came[-1]!r}" if came else expected)
