"""Ids that are of no clip are rejected, not generated nor a crash."""

import pytest

from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.report.clip_readers import clip_reader
from tests import defaults


@pytest.mark.parametrize(
    "clip_id", ["Y_x", "testing", "testing_", "testing_x", "other_000001"]
)
def test_ids_of_no_soundscape_are_rejected(clip_id):
    read = clip_reader(defaults.config().data, 7, defaults.front_end())
    with pytest.raises(Rejected, match="not a clip of the built-in soundscapes"):
        read(clip_id)
