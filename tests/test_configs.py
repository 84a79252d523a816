"""Every file of configs/ is a system that can be built, and says what it is."""

import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from gcrnn_jax.check_config import check_config, check_shapes
from gcrnn_jax.system import make_model
from tests import defaults

NAMES = sorted(path.stem for path in Path("configs").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_built_and_has_the_parameters_that_it_says(name):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config().to_dict()
    check_config(config)
    check_shapes(config, 2)
    front_end = defaults.front_end(**config["front_end"])
    model = make_model(config["model"], num_classes=17)
    features = jnp.zeros((1, front_end.num_frames, front_end.num_bins))
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    said = re.search(r"([\d,]+)\s+parameters", module.__doc__)
    assert said and int(said[1].replace(",", "")) == count


@pytest.mark.parametrize("name", NAMES)
def test_its_command_names_it(name):
    module = importlib.import_module(f"configs.{name}")
    assert f"--config=configs/{name}.py" in module.__doc__
