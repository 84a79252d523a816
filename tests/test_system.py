import pytest

from configs import at, few_clips, laptop, sed
from gcrnn_jax.check_config import check_config
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.system import parse_epochs


def config(module=sed):
    return module.get_config().to_dict()


@pytest.mark.parametrize("module", [sed, at, few_clips, laptop])
def test_every_configuration_can_be_built(module):
    check_config(config(module))


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("front_end", "kind", "mel"),
        ("model", "pooling", "max"),
        ("model", "attention_over", "frames"),
        ("model", "attention_reads", "clip"),
        ("model", "gru_gate", "step"),
        ("model", "gru_candidates", ("step",)),
        ("model", "ungated_activation", "gelu"),
        ("model", "dtype", "float8"),
        ("model", "time_pooling", (1, 1)),
        ("model", "heads", 3),
        ("augmentation", "cutout", 3),
        ("optimizer", "schedule", "linear"),
        ("postprocessing", "tag_threshold", 3.0),
        ("fusion", "epochs", "90:100"),
        ("fusion", "epochs", "0:3"),
        ("fusion", "epochs", "all"),
        ("sampling", "batch_size", 0),
        ("training", "num_epochs", 0),
    ],
)
def test_a_field_that_fits_nothing_is_named(section, field, value):
    wrong = config()
    wrong[section][field] = value
    with pytest.raises(ConfigError, match=f"{section}.*{field}"):
        check_config(wrong)


def test_epochs_are_first_to_last_and_no_further_than_the_run():
    assert parse_epochs("20:80:10", last=80) == [20, 30, 40, 50, 60, 70, 80]
    assert parse_epochs("3:9", last=5) == [3, 4, 5]
    assert parse_epochs("4", last=5) == [4]
