import dataclasses

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.ensemble import choose_members
from gcrnn_jax.metrics.tagging import average_precision

N, K = 60, 3
LABEL = np.random.default_rng(0).random((N, K)) < 0.4
PLAIN = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.0, 0.5)
SPLIT = Split(
    "held_out",
    clip_ids=[str(n) for n in range(N)],
    num_frames=np.ones(N, int),
    weak_label=LABEL,
    events=None,
    shards=(),
    frame_shape=(1, 1),
    class_names=list("abc"),
    content_hash="",
    data_content_hash="",
)


def system(noise, seed):
    """Posteriors that are the labels up to noise."""
    random = np.random.default_rng(seed).normal(size=(N, K))
    clip = 1 / (1 + np.exp(-(2.0 * LABEL - 1 + noise * random)))
    names = tuple(SPLIT.clip_ids), SPLIT.class_names
    return PosteriorSet(*names, 1.0, clip, clip[:, None], PLAIN)


def precision(clip):
    return np.mean([average_precision(LABEL[:, k], clip[:, k]) for k in range(K)])


def test_each_round_adds_what_helps_most_and_the_best_of_all_is_kept():
    systems = [system(noise, seed) for seed, noise in enumerate((1.0, 1.3, 1.6, 2.0))]
    counts, total, rounds = np.zeros(4, int), 0.0, []
    for _ in range(5):
        trials = [precision(total + one.clip) for one in systems]
        counts[np.argmax(trials)] += 1
        total = total + systems[np.argmax(trials)].clip
        rounds.append((max(trials), counts.tolist()))
    best = max(score for score, _ in rounds)
    expected = next(c for score, c in rounds if score > best - 1e-9)
    assert choose_members(systems, SPLIT, num_rounds=5) == expected
    assert sum(expected) > 1  # an ensemble is better than its best member


def test_a_perfect_system_stays_alone():
    perfect = dataclasses.replace(system(0, 0), clip=LABEL.astype(float))
    assert choose_members([system(1.5, 1), perfect], SPLIT) == [0, 1]
