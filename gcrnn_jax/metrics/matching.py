"""Which estimated event answers which reference event: at most one each.

Both ways give the events that sed_eval calls correct, also where several matchings are
of the same size: the errors that are left over become substitutions, and how many
depends on which events are left.

Source: Hopcroft, Karp, "An n^(5/2) algorithm for maximum matchings in bipartite
graphs", 1973; sed_eval 0.2.1, `event_matching_type`.
"""

import numpy as np

Pairs = dict[int, int]  # index of a reference event -> of an estimated one


def optimal_matching(hits: np.ndarray) -> Pairs:
    """As many pairs as possible, sed_eval's default.

    Args:
        hits: int [P, 2], rising: estimated event e could answer reference event r.

    Returns:
        Reference -> estimate. Shortest augmenting paths first, in the order of the
        references and of the first hit of each estimate.

    Example:
        >>> hits = np.array([[0, 0], [0, 1], [1, 0]])
        >>> optimal_matching(hits) == {0: 1, 1: 0}
        True
        >>> greedy_matching(hits)
        {0: 0}
    """
    options: dict[int, list[int]] = {}  # estimate -> the references that it may answer
    for r, e in hits.tolist():
        options.setdefault(e, []).append(r)
    pairs: Pairs = {}
    for e, references in options.items():
        free = next((r for r in references if r not in pairs), None)
        if free is not None:
            pairs[free] = e
    while _augment(options, pairs):
        pass
    return pairs


def greedy_matching(hits: np.ndarray) -> Pairs:
    """Each reference event in turn takes the first free estimate that hits it.

    See `optimal_matching`; this finds fewer pairs where events are close together.
    """
    pairs: Pairs = {}
    taken: set[int] = set()
    for r, e in hits.tolist():
        if r not in pairs and e not in taken:
            pairs[r] = e
            taken.add(e)
    return pairs


def num_pairs(hits: np.ndarray) -> int:
    """The size of an optimal matching; fast where nothing competes."""
    sizes = [len(np.unique(column)) for column in hits.T]
    return min(sizes) if len(hits) in sizes else len(optimal_matching(hits))


def _augment(options: dict[int, list[int]], pairs: Pairs) -> bool:
    """Lengthens `pairs` along disjoint shortest paths; False: there is none."""
    taken = set(pairs.values())
    frontier = [e for e in options if e not in taken]
    # How an estimate is reached: by giving up its reference, or None if it is free.
    given_up: dict[int, int | None] = dict.fromkeys(frontier)
    seekers: dict[int, list[int]] = {}  # reference -> estimates one layer before it
    ends: list[int] = []  # references that are free
    while frontier and not ends:
        layer: dict[int, list[int]] = {}
        for e in frontier:
            for r in options[e]:
                if r not in seekers:
                    layer.setdefault(r, []).append(e)
        seekers |= layer
        ends = [r for r in layer if r not in pairs]
        frontier = [pairs[r] for r in layer if r in pairs]
        given_up |= {pairs[r]: r for r in layer if r in pairs}
    for r in ends:
        _assign(r, pairs, seekers, given_up)
    return bool(ends)


def _assign(
    reference: int,
    pairs: Pairs,
    seekers: dict[int, list[int]],
    given_up: dict[int, int | None],
) -> None:
    """Gives a reference to an estimate before it whose own finds another answer.

    Depth first, without recursion: a chain may be as long as the list of events.
    """
    path = [(reference, iter(seekers.pop(reference, ())))]
    chosen: list[tuple[int, int]] = []  # one for each step of the path but the last
    while path:
        r, others = path[-1]
        e = next((e for e in others if e in given_up), None)
        if e is None:
            path.pop()
            del chosen[-1:]
            continue
        own = given_up.pop(e)
        chosen.append((r, e))
        if own is None:
            pairs.update(chosen)
            return
        path.append((own, iter(seekers.pop(own, ()))))
