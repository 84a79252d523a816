"""The field's scores by their definitions: one threshold, clip and event at a time."""

import itertools

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.metrics import Collars, ScoreTable

NAMES = ("Bus", "Car", "Tram")
HOP_S = 0.1


def random_case(seed, num_clips=5, decimals=1):
    """Tables with many equal scores, and events whose edges are between frames."""
    rng = np.random.default_rng(seed)
    tables, reference, durations = [], {}, {}
    for n in range(num_clips):
        num_frames = int(rng.integers(1, 25))
        times = np.arange(num_frames + 1) * HOP_S
        scores = rng.random((num_frames, 3)).round(decimals)
        if n == 1:
            scores[:] = 0.5  # every threshold detects all of it or nothing
        tables.append(ScoreTable(f"clip{n}", NAMES, times, scores))
        edges = [sorted(rng.uniform(0, times[-1], 4).round(2)) for _ in NAMES]
        reference[f"clip{n}.wav"] = [
            Event(float(times_s[i]), float(times_s[i + 1]), name)
            for name, times_s in zip(NAMES, edges, strict=True)
            for i in (0, 2)
            if rng.random() < 0.6 and n != 2 and times_s[i] < times_s[i + 1]
        ]
        durations[f"clip{n}.wav"] = float(times[-1])
    return tables, reference, durations


def runs(table, k, score):
    """Detections of a threshold just below a score, as onsets and offsets."""
    found, active = [], False
    for t, value in enumerate([*table.scores[:, k], -np.inf]):
        if value >= score and not active:
            found.append([table.times[t], None])
        elif value < score and active:
            found[-1][1] = table.times[t]
        active = value >= score
    return found


def overlap(a, b):
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def reaches(seconds, share, length):
    return seconds > 0 and round(seconds, 6) >= round(share * length, 6)


def largest_matching(hits):
    """Tries every way to give references to estimates: hits of a reference each."""
    if not hits:
        return 0
    rest = largest_matching(hits[1:])
    for e in hits[0]:
        without = [[o for o in others if o != e] for others in hits[1:]]
        rest = max(rest, 1 + largest_matching(without))
    return rest


def count_clip(table, events, k, score, by):
    """Events found, false detections, and those in events of each other class."""
    detections = runs(table, k, score)
    of_class = [[e for e in events if e[2] == name] for name in table.class_names]
    own = of_class[k]
    if isinstance(by, Collars):
        hits = [
            [
                i
                for i, d in enumerate(detections)
                if round(abs(d[0] - e[0]) - by.onset_s, 6) <= 0
                and round(
                    abs(d[1] - e[1])
                    - max(by.offset_s, by.offset_share * (e[1] - e[0])),
                    6,
                )
                <= 0
            ]
            for e in own
        ]
        matched = largest_matching(hits)
        return matched, len(detections) - matched, {}
    length = [d[1] - d[0] for d in detections]
    relevant = [
        reaches(sum(overlap(d, e) for e in own), by.dtc, s)
        for d, s in zip(detections, length, strict=True)
    ]
    hits = [
        reaches(
            sum(overlap(d, e) for d, r in zip(detections, relevant, strict=True) if r),
            by.gtc,
            e[1] - e[0],
        )
        for e in own
    ]
    crosses = {
        c: sum(
            reaches(sum(overlap(d, e) for e in others), by.cttc, s)
            for d, s, r in zip(detections, length, relevant, strict=True)
            if not r
        )
        for c, others in enumerate(of_class)
        if by.cttc is not None and c != k
    }
    return sum(hits), relevant.count(False), crosses


def all_scores(tables, k):
    return sorted({float(s) for table in tables for s in table.scores[:, k]})[::-1]


def count(tables, reference, k, score, by):
    """Sums over clips, cross-triggers for each second of the other class's events."""
    events = [reference[f"{table.clip_id}.wav"] for table in tables]
    seconds = np.zeros(len(NAMES))
    for event in itertools.chain(*events):
        seconds[NAMES.index(event[2])] += event[1] - event[0]
    counts = [
        count_clip(table, own, k, score, by)
        for table, own in zip(tables, events, strict=True)
    ]
    crosses = sum(n / seconds[c] for x in counts for c, n in x[2].items() if n)
    return sum(x[0] for x in counts), sum(x[1] for x in counts), crosses


def class_points(case, k, by):
    """(eFPR, TPR) of every threshold, from the definition."""
    tables, reference, durations = case
    events = [e for rows in reference.values() for e in rows]
    number = sum(e[2] == NAMES[k] for e in events)
    num_others = len({e[2] for e in events}) - 1
    hours = sum(durations.values()) / 3600
    points = [(0.0, 0.0)]
    for score in all_scores(tables, k):
        true, false, crosses = count(tables, reference, k, score, by.criteria)
        efpr = false / hours + by.alpha_ct * 3600 * crosses / max(num_others, 1)
        points.append((efpr, true / number))
    return points


def psds(case, by):
    """The area of the mean less the deviation, between neighbouring points."""
    events = [e for rows in case[1].values() for e in rows]
    classes = [class_points(case, NAMES.index(n), by) for n in {e[2] for e in events}]
    x = sorted({p[0] for points in classes for p in points if p[0] <= by.max_efpr})
    area = 0.0
    for start, end in itertools.pairwise([*x, by.max_efpr]):
        tpr = [max(p[1] for p in points if p[0] <= start) for points in classes]
        area += max(np.mean(tpr) - by.alpha_st * np.std(tpr), 0) * (end - start)
    return area / by.max_efpr
