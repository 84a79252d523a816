"""What the figures of a plan say: bars met or not, ceilings, and what to do next."""

import statistics
from collections.abc import Iterator

from benchmarks.variants import (
    AS_IT_IS,
    NO_GRU,
    VARIANTS,
    Figures,
    best_variant,
    gains,
    step_rates,
)

# the least that is expected; ratios to the peer's --amp --compile
PEER_RATIO, MATRIX_SHARE, LOADING, GRU_SHARE = 1.3, 0.30, 0.03, 0.30
STEPS = 8000 * 44  # clips of a run of configs/sed.py

Row = tuple[str, str, str]  # what, the figure reached, and how it stands to the bar


def report_bars(figures: Figures) -> str:
    """Text of all bars and of what to do next."""
    batches = sorted({batch for of in step_rates(figures).values() for batch in of})
    rows = [_checks(figures)]
    for batch in reversed(batches):
        rows += [*_peer(figures, batch), *_ceilings(figures, batch)]
    rows += [_loading(figures), _run(figures), *_next(figures, batches)]
    width = max(len(what) for what, *_ in rows)
    lines = (f"{what:{width}}  {reached}  {verdict}" for what, reached, verdict in rows)
    devices = _of(figures, "device")
    kind = devices[0]["kind"] if devices else "no device"
    return "\n".join([f"On {kind}:", *(line.rstrip() for line in lines)])


def _bar(what: str, reached: float | None, form: str, is_met: bool) -> Row:
    if reached is None:
        return what, "-", "not measured"
    return what, format(reached, form), "met" if is_met else "NOT MET"


def _of(figures: Figures, name: str, **fields) -> list[dict]:
    """The figures of a name with these values."""
    wanted = {"figure": name, **fields}.items()
    return [one for one in figures if wanted <= one.items()]


def _checks(figures: Figures) -> Row:
    checks = _of(figures, "check")
    passed = sum(one["passed"] for one in checks) if checks else None
    is_done = bool(_of(figures, "item", item="correctness", outcome="done"))
    return _bar(f"correctness: checks passed, of {len(checks)}", passed, "d", is_done)


def _peer(figures: Figures, batch: int) -> Iterator[Row]:
    for what in ("train", "inference"):
        pairs = _of(figures, "peer", batch=batch)
        ratios = [one[f"{what}_ratio"] for one in pairs]
        ratio = statistics.median(ratios) if ratios else None
        name = f"{what}, batch {batch}: ratio to the peer, at least {PEER_RATIO}"
        yield _bar(name, ratio, ".3f", (ratio or 0) >= PEER_RATIO)


def _ceilings(figures: Figures, batch: int) -> Iterator[Row]:
    """Shares of the measured rates that the best step reaches by what is counted."""
    best = best_variant(figures).name
    steps = _of(figures, "step", batch=batch, variant=best)
    for what, of, least in (
        ("operations", "matrix product, bfloat16", MATRIX_SHARE),
        ("bytes", "copy", None),
    ):
        peaks, share = _of(figures, "peak", of=of), None
        if steps and peaks:
            a_second = steps[-1][what] * steps[-1]["clips_per_s"] / batch
            share = a_second / peaks[-1]["per_s"]
        name = f"train, batch {batch}: {what}, share of the rate of a {of}"
        if least is None:
            yield name, "-" if share is None else f"{share:.1%}", ""
        else:
            name += f", at least {least:.0%}"
            yield _bar(name, share, ".1%", (share or 0) >= least)


def _loading(figures: Figures) -> Row:
    """The real path: on a GPU the clips are held, elsewhere the loader sends them."""
    rates = {one["side"]: one["clips_per_s"] for one in _of(figures, "loop")}
    gpu = any(one["platform"] != "cpu" for one in _of(figures, "device"))
    real = rates.get("clips on the devices" if gpu else "loader")
    resident, slower = rates.get("one batch on the devices"), None
    if real and resident:
        slower = resident / real - 1
    name = f"loop: slower than with a resident batch by at most {LOADING:.0%}"
    return _bar(name, slower, "+.1%", (slower or 0) <= LOADING)


def _run(figures: Figures) -> Row:
    name = "configs/sed.py from start to report"
    if whole := _of(figures, "item", item="run", outcome="done"):
        return name, f"{whole[-1]['seconds']:.0f} s", ""
    rates = [one["clips_per_s"] for one in _of(figures, "loop")]
    guess = (
        f"; {STEPS / min(rates):.0f} s of steps by the slowest loop" if rates else ""
    )
    return name, "-", f"not measured{guess}"


def _next(figures: Figures, batches: list[int]) -> Iterator[Row]:
    """Which variants pay, and whether the GRU is worth a kernel."""
    gained, best = gains(figures), best_variant(figures)
    for name, ratio in sorted(gained.items(), key=lambda pair: -pair[1]):
        if name != AS_IT_IS:
            yield f"step, {name}: times as fast as it is", f"{ratio:.3f}", ""
    for name in (one.name for one in VARIANTS):
        if name not in (*gained, NO_GRU):
            yield f"step, {name}: times as fast as it is", "-", "not measured"
    yield "next: train with", best.name, f"({best.describe()})"
    rates = step_rates(figures)
    for batch in batches:
        own, without = (rates.get(n, {}).get(batch) for n in (best.name, NO_GRU))
        name = f"next: share of the GRU in the best step, batch {batch}"
        if own and without:
            share = 1 - own / without
            verdict = "write a kernel for it" if share > GRU_SHARE else "no kernel"
            yield name, f"{share:.1%}", f"{verdict} (bar: over {GRU_SHARE:.0%})"
        else:
            yield name, "-", "not measured"
