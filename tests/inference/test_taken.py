"""What a network takes of another's weights: by name and shape, and class by class."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.inference import ModelCard
from gcrnn_jax.inference.taken import same_classes, take_weights
from gcrnn_jax.models import make_network, network_fields
from gcrnn_jax.models.network import variable_shapes
from gcrnn_jax.training.frozen import path_text
from gcrnn_jax.training.model_files import read_model
from tests.conftest import GOLDENS
from tests.defaults import network

OLD = GOLDENS / "run_0_1" / "averaged"
CARD = ModelCard.from_dict(json.loads((OLD / "card" / "data.json").read_text()), "card")
HEAD = ("params/attention/kernel", "params/detection/bias", "params/detection/kernel")


def numbered(model, card, start):
    """Arrays of a network of a card, of numbers that occur once."""
    model = model.clone(num_classes=len(card.classes))
    front_end = card.front_end
    shapes = variable_shapes(model, front_end.num_frames, front_end.num_bins)
    leaves, tree = jax.tree.flatten(shapes)
    ends = start + np.cumsum([0, *(leaf.size for leaf in leaves)])
    arrays = [
        np.arange(end - leaf.size, end, dtype=np.float32).reshape(leaf.shape)
        for leaf, end in zip(leaves, ends[1:], strict=True)
    ]
    return jax.tree.unflatten(tree, arrays)


def with_classes(*ids, names=None):
    classes = ClassList(ids, names or tuple(f"name of {one}" for one in ids))
    rules = dataclasses.replace(
        CARD.postprocessing, tag_threshold=0.3, event_threshold=0.3
    )
    return dataclasses.replace(CARD, classes=classes, postprocessing=rules)


def taken(start, card, model=CARD.config.model, of=CARD.config.model):
    """Arrays by name: the model's, those drawn, those taken, and how many classes."""
    start = dataclasses.replace(
        start, config=dataclasses.replace(start.config, model=of)
    )
    model = model.clone(num_classes=len(card.classes))
    theirs, drawn = numbered(of, start, 1e6), numbered(model, card, 0)
    result = take_weights(start, theirs, card, model, drawn)
    trees = theirs, drawn, result.variables
    return *map(by_name, trees), result.num_classes


def by_name(tree):
    return {path_text(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_a_network_of_the_same_classes_takes_all():
    theirs, drawn, found, counts = taken(with_classes("a", "b"), with_classes("a", "b"))
    assert found.keys() == theirs.keys() == drawn.keys() == counts.keys()
    for name, values in theirs.items():
        np.testing.assert_array_equal(found[name], values)
    assert {*counts.values()} == {-1}
    assert {name.split("/")[0] for name in counts} == {"params", "batch_stats"}


@pytest.mark.parametrize(
    ("ids", "columns", "count"),
    [
        (("c", "a", "b"), [2, 0, 1], -1),
        (("b",), [1], -1),
        (("b", "x", "a", "y"), [1, None, 0, None], 2),
        (("x", "y"), [None, None], 0),
    ],
)
@pytest.mark.parametrize("reads", ["features", "detection"])
def test_a_class_of_both_keeps_its_columns_and_a_new_one_has_those_drawn(
    ids, columns, count, reads
):
    """Attention that reads detection has a row a class too."""
    fields = {**network_fields(CARD.config.model), "attention_reads": reads}
    model = make_network(fields)
    start, card = with_classes("a", "b", "c"), with_classes(*ids)
    theirs, drawn, found, counts = taken(start, card, model, model)
    for name, values in found.items():
        if name not in HEAD:
            np.testing.assert_array_equal(values, theirs[name])
            assert counts[name] == -1
            continue
        assert counts[name] == count
        has_rows = reads == "detection" and name == HEAD[0]
        for place in np.ndindex(values.shape):
            k = columns[place[-1]]
            row = columns[place[0]] if has_rows else place[0]
            of_model = (row, k) if values.ndim == 2 else (k,)
            is_new = None in of_model
            expected = drawn[name][place] if is_new else theirs[name][of_model]
            assert values[place] == expected, (name, place)


def test_arrays_of_other_shapes_and_names_are_those_drawn():
    wider = make_network({**network_fields(CARD.config.model), "last_filters": 5})
    theirs, drawn, found, counts = taken(with_classes("a"), with_classes("a"), wider)
    new = {name for name, count in counts.items() if count == 0}
    assert {"params/last/kernel", "params/last/bias"} < new
    assert all("last" in name or "gru" in name for name in new)
    for name, values in found.items():
        source = drawn if name in new else theirs
        np.testing.assert_array_equal(values, source[name])
    other = network(1, "mlp", hidden=(3,))
    *_, counts = taken(with_classes("a"), with_classes("a"), other)
    assert [name for name, count in counts.items() if count] == [HEAD[1]]


def test_an_axis_of_classes_is_not_one_of_units_of_the_same_size():
    """Two units and two classes: columns of classes are not taken for units."""
    of = make_network({**network_fields(CARD.config.model), "rnn_units": 1})
    start, card = with_classes("a", "b"), with_classes("b", "a")
    theirs, _, found, counts = taken(start, card, of, of)
    name = "params/detection/kernel"
    assert theirs[name].shape == (2, 2)
    np.testing.assert_array_equal(found[name], theirs[name][:, ::-1])
    assert {*counts.values()} == {-1}


def test_ids_decide_before_names():
    one = ClassList(("a", "b", "c"), ("Car", "Bus", "Tram"))
    other = ClassList(("b", "x", "y"), ("Car", "Bus", "Tram"))
    # "b" is one class by its id; "Car" has another id in one than in other
    assert same_classes(one, other) == [(1, 0), (2, 2)]


def test_a_variable_of_the_old_model_is_read_as_it_lies_there():
    _, variables = read_model(OLD)
    result = take_weights(CARD, variables, CARD, CARD.config.model, variables)
    before, after = by_name(variables), by_name(result.variables)
    assert before.keys() == after.keys()
    after["params/detection/bias"][:] = 7  # a copy
    assert np.all(before["params/detection/bias"] != 7)
