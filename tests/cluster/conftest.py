"""The cluster that the tests of this folder share."""

import pytest

from tests.cluster.slurm import Cluster, what_is_missing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A SLURM cluster of two nodes of 16 cores and 8 GPUs, which are plain files."""
    if reason := what_is_missing():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster
