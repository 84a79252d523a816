"""Sections of configs/sed.py, the one place of every default, with changes."""

from configs import sed
from gcrnn_jax.audio.front_end import FrontEnd, make_front_end


def section(name, **changes):
    return {**sed.get_config()[name].to_dict(), **changes}


def front_end(**changes) -> FrontEnd:
    return make_front_end(section("front_end", **changes))
