"""Every file of configs/ is a system that can be built, and says what it is."""

import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from gcrnn_jax.config import load_config

NAMES = sorted(path.stem for path in Path("configs").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_built_and_has_the_parameters_that_it_says(name):
    config = load_config(f"configs/{name}.py")
    config.check_shapes(2)
    model = config.model.clone(num_classes=17)
    features = jnp.zeros((1, config.front_end.num_frames, config.front_end.num_bins))
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    module = importlib.import_module(f"configs.{name}")
    stated = re.search(r"([\d,]+)\s+parameters", module.__doc__)
    assert stated and int(stated[1].replace(",", "")) == count


@pytest.mark.parametrize("name", NAMES)
def test_its_command_names_it(name):
    module = importlib.import_module(f"configs.{name}")
    assert re.search(rf"--config=(configs/{name}\.py|{name}\b)", module.__doc__)
