"""Sections of configs/sed.py, the one place of every default, with changes."""

from configs import sed
from gcrnn_jax.audio.front_end import FrontEnd, make_front_end
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
