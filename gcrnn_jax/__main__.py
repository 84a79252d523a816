"""`python -m gcrnn_jax`: the same as the command `gcrnn`."""

from gcrnn_jax.cli import main

if __name__ == "__main__":
    main()
