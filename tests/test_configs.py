"""Every file of configs/ is a system that can be built, and says what it is."""

import functools
import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.config import load_config
from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.state import TrainStep, draw_state
from tests.onnx_models import framing

K = 17
NAMES = sorted(path.stem for path in Path("configs").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads a configuration; that of embeddings needs a model, here of 1,024 values."""
    path = framing(tmp_path_factory.mktemp("model") / "model.onnx", size=1024)

    def load_one(name):
        changes = {"front_end.path": path} if name == "embeddings" else {}
        return load_config(f"configs/{name}.py", **changes)

    return load_one


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_built_and_has_the_parameters_that_it_says(name, load):
    config = load(name)
    config.check_shapes()
    model = config.model.clone(num_classes=K)
    features = jnp.zeros((1, config.front_end.num_frames, config.front_end.num_bins))
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    module = importlib.import_module(f"configs.{name}")
    stated = re.search(r"([\d,]+)\s+parameters", module.__doc__)
    assert stated and int(stated[1].replace(",", "")) == count


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_any_length_fuses_its_last_epochs(name, load):
    fusion = load(name).fusion
    assert [fusion.epochs(count)[-1] for count in (1, 3, 200)] == [1, 3, 200]


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_trained_on_16_devices(name, load):
    """By shapes alone; most of their batches do not divide so, that of sed by 8."""
    config = load(name)
    num_frames, num_bins = config.front_end.num_frames, config.front_end.num_bins
    size = config.sampling.batch_size
    model = config.model.clone(num_classes=K, axis_name=parallel.AXIS)
    optimizer = config.optimizer.make(config.training.num_steps, size)
    options = {"num_frames": num_frames, "num_bins": num_bins}
    draw = functools.partial(draw_state, model, optimizer, **options)
    state = jax.eval_shape(draw, jax.random.key(0))
    scaler = Scaler(np.zeros(num_bins, np.float32), np.ones(num_bins, np.float32))
    step = TrainStep(
        model, optimizer, config.augmentation, scaler, config.loss, 0, batch_size=size
    )
    for num_devices in (8, 16) if name == "sed" else (16,):
        rows = BatchShares(size, num_devices).rows.size
        batch = {
            "features": jax.ShapeDtypeStruct((rows, num_frames, num_bins), np.float16),
            "num_frames": jax.ShapeDtypeStruct((rows,), np.int32),
            "weak_label": jax.ShapeDtypeStruct((rows, K), np.float32),
        }
        mesh = jax.sharding.AbstractMesh((num_devices,), (parallel.AXIS,))
        new, metrics = jax.eval_shape(parallel.data_parallel(step, mesh), state, batch)
        assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
        assert metrics["loss"].shape == ()


@pytest.mark.parametrize("name", NAMES)
def test_its_command_names_it(name):
    module = importlib.import_module(f"configs.{name}")
    assert re.search(rf"--config=(configs/{name}\.py|{name}\b)", module.__doc__)
