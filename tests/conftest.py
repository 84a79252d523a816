"""What every test shares: strict JAX on four simulated devices, the data at hand."""

from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")

SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official lists, goldens and benchmark audio beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the official lists and goldens in {SHARED}")
    return SHARED
