"""How often the devices wait for each other in a step: as few times as can be."""

import re

import jax
import pytest

from gcrnn_jax.training import parallel
from gcrnn_jax.training.state import initial_state
from tests.defaults import network
from tests.training.steps import SMALL, F, K, T, make_batches, make_step


def collectives(model, augment=None) -> tuple[list[str], list[str]]:
    """Names of those in every compiled step, and of those in branches of it."""
    step = make_step(model, augment=augment)
    mesh = parallel.make_mesh(jax.devices()[:4])
    state = initial_state(model, step.optimizer, num_frames=T, num_bins=F, seed=1)
    state = parallel.put_state(state, mesh)
    batch = parallel.put_batch(make_batches(1)[0], mesh)
    compiled = parallel.data_parallel(step, mesh).lower(state, batch).compile()
    text = compiled.as_text()
    branches = re.findall(r"branch_computations=\{([^}]*)\}", text)
    branches += re.findall(r"(?:true|false)_computation=(%?[\w.-]+)", text)
    names = {name.strip(" %") for names in branches for name in names.split(",")}
    always, sometimes = [], []
    for computation in re.split(r"\n\n", text):
        header = re.match(r"(?:ENTRY )?%?([\w.-]+)", computation.strip())
        found = re.findall(
            r" (all-reduce|all-gather|collective-permute|all-to-all|reduce-scatter)"
            r"(?:-start)?\(",
            computation,
        )
        (sometimes if header and header[1] in names else always).extend(found)
    return sorted(always), sorted(sometimes)


@pytest.mark.parametrize("units", [1, 2])
def test_statistics_of_all_devices_cost_one_forward_and_one_back_in_each_layer(units):
    """Of a layer the next one is computed: they cannot be one for several layers.

    Forward sum, sum of squares and count go together, and back the gradients of both.
    All gradients, statistics and the loss go in one more. Where float32 has lost a
    variance, a layer takes another.
    """
    fields = {**SMALL, "blocks": (units,)}
    model = network(K, **fields).clone(axis_name=parallel.AXIS)
    always, sometimes = collectives(model)
    assert always == ["all-reduce"] * (2 * units + 1)
    assert sometimes == ["all-reduce"] * units


def test_statistics_of_each_device_leave_one():
    assert collectives(network(K, **SMALL)) == (["all-reduce"], [])


def test_partners_cost_one_for_each_array_of_a_clip():
    """Features, their mask and labels; of clips that devices hold are none saved."""
    model = network(K, **SMALL)
    always, _ = collectives(model, augment={"mixup_alpha": 0.5})
    assert always == ["all-gather"] * 3 + ["all-reduce"]
