"""Four devices are the same four however many processes they belong to."""

import numpy as np

from gcrnn_jax.training.checkpoints import saved_steps

# One epoch of two steps each: every layout reads the state of another one.
CHAIN = (2, 4, 1, 2)


def test_layouts_train_alike_and_read_checkpoints_of_another(commands, tmp_path):
    """1 x 4, 2 x 2 and 4 x 1 (processes x devices), against 1 x 4 alone.

    Each device computes the same rows of the same batches. Within a process XLA sums
    gradients over its devices, between processes Gloo does, in another order: losses
    are the same within 1e-6, where the first loss of all, before any sum of gradients,
    and whatever one process computes from one state are the same bit for bit.
    """
    chain, alone = tmp_path / "chain", tmp_path / "alone"
    for done, processes in enumerate(CHAIN):
        result = train(commands, chain, done + 1, processes)
        assert (f"after step {2 * done} of" in result.stdout) == (done > 0)
        assert max(saved_steps(chain / "resume")) == 2 * (done + 1)
    train(commands, alone, len(CHAIN), 1)
    losses, expected = commands.losses(chain), commands.losses(alone)
    assert len(losses) == 2 * len(CHAIN)
    assert losses[0] == expected[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def train(commands, workdir, num_epochs, processes):
    fields = [f"--config.training.num_epochs={num_epochs}"]
    fields += [f"--config.fusion.epochs={num_epochs}", *commands.SMALLEST[:-1]]
    if processes > 1:
        fields.append(f"--config.parallel.cpu_devices={4 // processes}")
        result = commands.main(workdir, *fields, processes=processes)
    else:
        result = commands.main(workdir, *fields)  # on the four of this process
    assert result.returncode == 0, result.stderr
    return result
