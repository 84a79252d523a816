"""The command's figures, found again in the plainest way on small random cases.

Of kinds on which the field's own tools refuse, or that hide rare branches: events of
one class that overlap, recordings without events, and scores that tie.
"""

import json

import numpy as np
import pytest

from gcrnn_jax.evaluate import main

CLASSES = ("Car", "Dog")
COLLARS = "onset 0.2 s, offset max(0.2 s, 20 %)"
FRAME = 20  # seconds
NUM_FRAMES = 10
BIN = 0.1  # seconds, of which all times are multiples


def figures(tmp_path, reference, *flags):
    """Those of the command, by quantity and average."""
    (tmp_path / "reference.tsv").write_text(list_text(reference))
    output = tmp_path / "scores.json"
    paths = ["--reference", str(tmp_path / "reference.tsv"), "--output", str(output)]
    main([*paths, *flags, "--draws", "0"])
    written = json.loads(output.read_text())["figures"]
    return {(f["quantity"], f["average"]): f["value"] for f in written}


def list_text(events):
    """An event list of {file: [(onset, offset, label)]}."""
    return "".join(
        "".join(f"{file}\t{on!r}\t{off!r}\t{name}\n" for on, off, name in own)
        or f"{file}\n"
        for file, own in events.items()
    )


def of_class(events, name):
    return [np.array([e[:2] for e in own if e[2] == name]) for own in events.values()]


def num_pairs(fits):
    """The most events that can be paired, trying every way."""
    if not fits.size:
        return 0
    pairs = [1 + num_pairs(np.delete(fits[1:], j, 1)) for j in np.flatnonzero(fits[0])]
    return max([num_pairs(fits[1:]), *pairs])


def within_collars(there, found):
    """Events of one recording and class -> which are within the collars, to 1e-6 s."""
    if not len(there) or not len(found):
        return np.zeros((len(there), len(found)), bool)
    far = np.abs(there[:, None] - found[None])
    length = there[:, 1] - there[:, 0]
    most = np.stack([np.full(len(there), 0.2), np.maximum(0.2, 0.2 * length)], 1)
    return (far <= most[:, None] + 1e-6).all(2)


def event_counts(there, found):
    """Hits, found and reference events of a class, over all recordings."""
    hits = sum(
        num_pairs(within_collars(*pair)) for pair in zip(there, found, strict=True)
    )
    return np.array([hits, sum(map(len, found)), sum(map(len, there))])


def f1(counts):
    return 2 * counts[0] / counts[1:].sum()


def bins(events, size, step=BIN):
    """Events of one recording as activity."""
    active = np.zeros(size, bool)
    for onset, offset in np.round(np.asarray(events).reshape(-1, 2) / step).astype(int):
        active[onset:offset] = True
    return active


def runs(active):
    edges = np.diff(np.r_[0, active.astype(int), 0])
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    return [slice(*span) for span in zip(starts, ends, strict=True)]


def intersections(there, found, share):
    """Hits, false positives and reference events, of activities that are merged."""
    right = [run for run in runs(found) if there[run].mean() >= share]
    kept = np.zeros_like(there)
    for run in right:
        kept[run] = True
    hits = sum(kept[run].mean() >= share for run in runs(there))
    return np.array([hits, len(runs(found)) - len(right), len(runs(there))])


def random_events(draw, number, *, seconds):
    """Events of both classes, of which many overlap others of their class."""
    rows = []
    for _ in range(number):
        onset = int(draw.integers(0, 10 * seconds - 40))
        offset = onset + int(draw.integers(5, 40))
        end = round(offset / 10 + 0.05, 2)  # so that none ends where another begins
        rows.append((onset / 10, end, CLASSES[draw.integers(2)]))
    return rows


def moved(draw, rows):
    """The same, most of them a little earlier or later, some left out; and others."""
    times = [
        (round(float(max(0, on + draw.integers(-3, 4) / 10 + 0.01)), 2), off, name)
        for on, off, name in rows
        if draw.random() < 0.8
    ]
    found = [(on, round(off + 0.02, 2), name) for on, off, name in times]
    return found + random_events(draw, 2, seconds=12)


@pytest.mark.parametrize("seed", range(3))
def test_events_that_overlap_others_of_their_class(tmp_path, seed):
    draw = np.random.default_rng(seed)
    reference = {f"{n}.wav": random_events(draw, 6, seconds=12) for n in range(4)}
    estimated = {file: moved(draw, own) for file, own in reference.items()}
    (mine := tmp_path / "mine.tsv").write_text(list_text(estimated))
    ours = figures(tmp_path, reference, "--estimated", str(mine))
    lists = [(of_class(reference, c), of_class(estimated, c)) for c in CLASSES]
    counts = np.array([event_counts(*pair) for pair in lists])
    expected = {
        (f"event_f1[{COLLARS}]", "micro"): f1(counts.sum(0)),
        (f"event_f1[{COLLARS}]", "macro"): np.mean([f1(one) for one in counts]),
    }
    rolls = np.zeros((2, 2, 4, 13), bool)  # reference or not, class, recording, second
    for k, pair in enumerate(lists):
        for i, events in enumerate(pair):
            for n, own in enumerate(events):
                for onset, offset in own:
                    rolls[i, k, n, int(onset) : int(np.ceil(offset))] = True
    there, found = rolls
    missed, false = (there & ~found).sum(0), (found & ~there).sum(0)  # of segments
    hits = (there & found).sum()
    expected["segment_f1[1 s]", "micro"] = 2 * hits / (there.sum() + found.sum())
    errors = np.maximum(missed, false).sum()
    expected["segment_error_rate[1 s]", "micro"] = errors / there.sum()
    for share in (0.5, 0.7):
        of_classes = []
        for there, found in lists:
            pairs = zip(there, found, strict=True)
            both = [[bins(one, 2000, 0.01) for one in pair] for pair in pairs]
            counts = [intersections(one, other, share) for one, other in both]
            hits, false, number = np.sum(counts, 0)
            of_classes.append(2 * hits / (hits + false + number))
        quantity = f"intersection_f1[dtc {share}, gtc {share}]"
        expected[quantity, "macro"] = np.mean(of_classes)
    for key, value in expected.items():
        assert ours[key] == pytest.approx(value, abs=1e-9), key
    overlaps = sum(len(own) - len(runs(bins(own, 2000, 0.01))) for own in lists[0][0])
    assert overlaps > 0


KINDS = {  # of score tables: recordings with events, of six, and levels of scores
    "recordings without events": (3, 1000),
    "ties": (6, 4),
    "both": (5, 3),
}


def random_tables(draw, num_with_events, num_levels):
    """Events of each recording and class, and scores [N, T, K]."""
    scores = draw.integers(0, num_levels, (6, NUM_FRAMES, 2)) / num_levels
    reference = {f"{n}.wav": [] for n in range(6)}
    some = [*reference.values()][:num_with_events]
    for n, (own, active) in enumerate(zip(some, scores, strict=False)):
        for k, name in enumerate(CLASSES):
            if n % 3 == k:  # so that some recordings have one class alone
                continue
            for first in (1, 6):  # two events a class, one of which is nearly found
                span = first * FRAME + draw.integers(-1, 2) / 10, (first + 2) * FRAME
                own.append((*map(float, span), name))
            active[1:3, k] = np.maximum(active[1:3, k], 0.6)
    return reference, scores


def write_tables(folder, scores):
    folder.mkdir()
    for n, rows in enumerate(scores.tolist()):
        lines = [["onset", "offset", *CLASSES]]
        lines += [[t * FRAME, (t + 1) * FRAME, *row] for t, row in enumerate(rows)]
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        (folder / f"{n}.tsv").write_text(text)


def found_at(scores, least):
    """Events of each recording where scores [N, T] are at least so high."""
    return [
        np.array([(run.start * FRAME, run.stop * FRAME) for run in runs(own >= least)])
        for own in scores
    ]


def psds1(there, scores):
    """From every threshold of every class; the staircases at all their steps."""
    size, hours = int(NUM_FRAMES * FRAME / BIN), 6 * NUM_FRAMES * FRAME / 3600
    points = []
    for k, own in enumerate(there):
        points.append([(0.0, 0.0)])
        for least in np.unique(scores[:, :, k]):
            pairs = zip(own, found_at(scores[:, :, k], least), strict=True)
            both = [(bins(one, size), bins(other, size)) for one, other in pairs]
            hits, false, number = np.sum([intersections(*one, 0.7) for one in both], 0)
            points[k].append((false / hours, hits / number))
    steps = sorted({x for own in points for x, _ in own if x < 100}) + [100]
    rates = [[max(y for x, y in own if x <= at) for at in steps[:-1]] for own in points]
    heights = np.maximum(np.mean(rates, 0) - np.std(rates, 0), 0)
    return float(heights @ np.diff(steps)) / 100


def average_precision(label, score):
    """Of thresholds at every distinct score."""
    value, before = 0.0, 0.0
    for least in np.unique(score)[::-1]:
        recall = label[score >= least].sum() / label.sum()
        value += (recall - before) * label[score >= least].mean()
        before = recall
    return value


def auc(label, score):
    """Of every pair of a recording with and one without the class."""
    margin = score[label][:, None] - score[~label]
    return ((margin > 0) + (margin == 0) / 2).mean()


def lwlrap(label, score):
    """Every label of a recording as good as any: the precision at its rank."""
    values = [
        own[one >= one[k]].mean()
        for own, one in zip(label, score, strict=True)
        for k in np.flatnonzero(own)
    ]
    return np.mean(values)


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_without_events_and_scores_that_tie(tmp_path, kind):
    reference, scores = random_tables(np.random.default_rng(7), *KINDS[kind])
    write_tables(folder := tmp_path / "scores", scores)
    ours = figures(tmp_path, reference, "--estimated", str(folder))
    there = [of_class(reference, name) for name in CLASSES]
    label = np.array([[len(own) > 0 for own in one] for one in there]).T
    clip = scores.max(1)
    counts = [event_counts(there[k], found_at(scores[:, :, k], 0.5001)) for k in (0, 1)]
    best = [
        max(
            f1(event_counts(there[k], found_at(scores[:, :, k], least)))
            for least in np.unique(scores[:, :, k])
        )
        for k in (0, 1)
    ]
    precision = [average_precision(label[:, k], clip[:, k]) for k in (0, 1)]
    tags = clip > 0.5
    psds = "psds1[dtc 0.7, gtc 0.7, alpha_st 1, 100 per hour]"
    expected = {
        (f"event_f1[{COLLARS}]", "micro"): f1(np.sum(counts, 0)),
        (f"event_f1_best[{COLLARS}]", "macro"): np.mean(best),
        ("average_precision", "macro"): np.mean(precision),
        ("average_precision", "micro"): average_precision(label.ravel(), clip.ravel()),
        ("auc", "macro"): np.mean([auc(label[:, k], clip[:, k]) for k in (0, 1)]),
        ("lwlrap", "micro"): lwlrap(label, clip),
        ("tagging_f1", "micro"): 2 * (tags & label).sum() / (tags.sum() + label.sum()),
        (psds, "classes"): psds1(there, scores),
    }
    for key, value in expected.items():
        assert ours[key] == pytest.approx(value, abs=1e-9), key
    assert 0 < expected[psds, "classes"] < 1
