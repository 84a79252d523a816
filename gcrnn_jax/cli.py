"""The command `gcrnn`: every command of the package as a verb.

    gcrnn train --config=sed --config.data.root=FOLDER
    gcrnn predict runs/sed recording.wav --output found

Verbs, each with --help:

    train      trains, evaluates and reports one system
    predict    any recordings -> tags and events
    evaluate   a reference and estimates of any system -> scores
    check      a folder of recordings and lists -> what is wrong with it
    prepare    recordings and lists -> a feature store
    average    weights of several epochs -> one model
    fuse       posteriors of several epochs or systems -> one
    export     a model -> programs for other software
"""

import importlib
import sys
from collections.abc import Sequence

from gcrnn_jax.errors import ConfigError, run_command

_MODULES = {"train": "main", "average": "average_checkpoints"}
_VERBS = ("predict", "evaluate", "check", "prepare", "fuse", "export", *_MODULES)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; ends the process with the exit code of its error, if any."""
    run_command(lambda: run_verb(list(sys.argv[1:] if argv is None else argv)))


def run_verb(arguments: list[str]) -> None:
    """Runs the verb that the arguments begin with.

    Raises:
        ConfigError: There is no such verb.
    """
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help"):
        print(__doc__)
    elif verb == "--version":
        from gcrnn_jax import __version__

        print(f"gcrnn_jax {__version__}")
    elif verb in _VERBS:
        module = importlib.import_module(f"gcrnn_jax.{_MODULES.get(verb, verb)}")
        module.main([sys.argv[0], *rest] if verb == "train" else rest)
    else:
        raise ConfigError(f"no verb {verb!r}; there are {', '.join(sorted(_VERBS))}")
