"""Ways to run the same training step, and which of them pay."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

AS_IT_IS, NO_GRU = "as it is", "without the GRU"
PAYS = 1.02  # times as fast, at least
_COMMAND_BUFFER = "--xla_gpu_enable_command_buffer=+WHILE"

Figures = Sequence[dict[str, Any]]


class Variant(NamedTuple):
    """A way to run the step.

    Attributes:
        name: In figures.
        sets: What it changes; of variants that change the same only one can be taken.
        flags: Of `benchmarks.figures`.
        xla_flags: Added to XLA_FLAGS; without effect on a CPU.
        environment: Further variables.
    """

    name: str
    sets: str = ""
    flags: tuple[str, ...] = ()
    xla_flags: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """All that it sets, as one would type it."""
        variables = [f"{name}={value}" for name, value in self.environment]
        return " ".join([*variables, *self.xla_flags, *self.flags]) or "nothing set"


VARIANTS = (
    Variant(AS_IT_IS),
    # WHILE is not in XLA's default list: the host starts every kernel of a scan
    Variant("WHILE in command buffers", "xla", (), (_COMMAND_BUFFER,)),
    Variant(
        "WHILE in command buffers, unrolled",
        "xla",
        (),
        (_COMMAND_BUFFER, "--xla_gpu_command_buffer_unroll_loops=true"),
    ),
    # one recurrent product a step instead of two, as cuDNN's GRU
    Variant("reset after", "reset", ("--reset_after",)),
    Variant("unroll 4", "unroll", ("--unroll=4",)),
    Variant("unroll 16", "unroll", ("--unroll=16",)),
    Variant("O1", "level", environment=(("JAX_OPTIMIZATION_LEVEL", "O1"),)),
    Variant(NO_GRU, flags=("--without_gru",)),
)


def step_rates(figures: Figures) -> dict[str, dict[int, float]]:
    """Clips a second of the training step, by variant and batch."""
    rates: dict[str, dict[int, float]] = {}
    for one in figures:
        if one["figure"] == "step":
            rates.setdefault(one["variant"], {})[one["batch"]] = one["clips_per_s"]
    return rates


def gains(figures: Figures) -> dict[str, float]:
    """How many times as fast as the step as it is, a geometric mean over batches."""
    rates = step_rates(figures)
    plain, found = rates.get(AS_IT_IS, {}), {}
    for name, own in rates.items():
        if name != NO_GRU and (both := plain.keys() & own.keys()):
            logarithms = [math.log(own[batch] / plain[batch]) for batch in both]
            found[name] = math.exp(sum(logarithms) / len(both))
    return found


def best_together(figures: Figures) -> Variant | None:
    """The best variant of each kind that pays, all at once; None: fewer than two do."""
    gained, by_kind = gains(figures), {}
    for one in sorted(VARIANTS, key=lambda one: gained.get(one.name, 0)):
        if one.sets and gained.get(one.name, 0) >= PAYS:
            by_kind[one.sets] = one
    chosen = by_kind.values()
    if len(chosen) < 2:
        return None
    return Variant(
        "together: " + ", ".join(one.name for one in chosen),
        "",
        tuple(flag for one in chosen for flag in one.flags),
        tuple(flag for one in chosen for flag in one.xla_flags),
        tuple(pair for one in chosen for pair in one.environment),
    )


def best_variant(figures: Figures) -> Variant:
    """The fastest of those measured; as it is, if none was."""
    together = best_together(figures)
    gained = gains(figures)
    variants = [*VARIANTS, *([together] if together else [])]
    return max(variants, key=lambda one: gained.get(one.name, 0))
