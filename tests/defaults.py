"""Sections of configs/sed.py, the one place of every default, with changes."""

from configs import sed
from gcrnn_jax.audio.front_end import FrontEnd, make_front_end
from gcrnn_jax.config import Config, load_config
from gcrnn_jax.data.preparation import prepare_folder, prepare_soundscapes
from gcrnn_jax.fields import construct
from gcrnn_jax.models import Network, make_network


def section(name, **changes):
    return {**sed.get_config()[name].to_dict(), **changes}


def front_end(**changes) -> FrontEnd:
    return make_front_end(section("front_end", **changes))


def build(cls, name, **changes):
    """The object of a section, such as `build(Loss, "loss", frame_weight=1.0)`."""
    return construct(cls, section(name, **changes), name)


def network(num_classes, config="sed", **changes) -> Network:
    """The network of a file of configs/."""
    import importlib

    fields = importlib.import_module(f"configs.{config}").get_config().model.to_dict()
    return make_network({**fields, **changes}, num_classes)


def prepare(root, output=None, features=None, *, num_workers=0, max_bad_fraction=0.01):
    """`prepare_folder` with the paper's log-mel."""
    features = features or front_end()
    options = {"num_workers": num_workers, "max_bad_fraction": max_bad_fraction}
    return prepare_folder(root, output, features, **options)


def soundscapes(sizes, seed=0, output=None, features=None, *, num_workers=0):
    """`prepare_soundscapes` with the paper's log-mel."""
    features = features or front_end()
    return prepare_soundscapes(sizes, seed, output, features, num_workers=num_workers)


def config(name="sed", **changes) -> Config:
    """A configuration of the package with changes, as `**{"model.filters": 16}`."""
    return load_config(name, **{"fusion.first_epoch": 1, **changes})


def values(module=sed, **changes):
    """The sections of a file of configs/, with changes such as model={"filters": 8}."""
    sections = module.get_config().to_dict()
    for name, fields in changes.items():
        sections[name].update(fields)
    return sections
