"""A small report whose names are as bad as they can be."""

import json

import numpy as np

from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.store import Shard, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.evaluation.labelled import OF_TABLES, SplitFigures
from gcrnn_jax.evaluation.results import Choice
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.report.examples import select_examples
from gcrnn_jax.report.report_data import ReportData
from tests import defaults

EVIL = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(2)//",
    "' onclick='alert(3)' \" onclick=\"alert(4)\" & &lt;b&gt; \u2028",
    "{{ 7 * 7 }}${alert(5)}",
)
RULES = Postprocessing(
    tag_threshold=0.5,
    event_threshold=0.4,
    gap_s=0.4,
    min_event_s=0.45,
    require_clip_tag=True,
    at_least_one_tag=True,
    hysteresis=1.0,
    median_s=0.0,
    box_filter_s=0.0,
    box_merge=0.5,
)
FRONT_END = defaults.front_end()
NUM_CLIPS = 9


def make_split(folder, names):
    random = np.random.default_rng(3)
    shape = (FRONT_END.num_frames, FRONT_END.num_bins)
    np.save(folder / "shard.npy", random.normal(-6, 2, (NUM_CLIPS, *shape)).astype("e"))
    weak_label = np.arange(NUM_CLIPS)[:, None] % len(names) == np.arange(len(names))
    clip_ids = [f"{names[n % len(names)]}{n}" for n in range(NUM_CLIPS)]
    events = {
        clip: ((1.5, 4.0, names[n % len(names)]),) for n, clip in enumerate(clip_ids)
    }
    return Split(
        "testing",
        clip_ids=clip_ids,
        num_frames=np.full(NUM_CLIPS, FRONT_END.num_frames, np.int32),
        weak_label=weak_label,
        events=events,
        shards=[Shard(folder / "shard.npy", NUM_CLIPS)],
        frame_shape=shape,
        class_names=names,
        content_hash="0",
        data_content_hash="0",
    )


def tone(clip_id):
    """Ten seconds; the first clip of all has no recording."""
    if clip_id.endswith("0"):
        raise Rejected("MISSING", f"no {clip_id} here")
    return 0.1 * np.sin(np.arange(160000) * 0.2).astype(np.float32)


def make_data(folder, names):
    split = make_split(folder, names)
    random = np.random.default_rng(4)
    frame = random.random((NUM_CLIPS, FRONT_END.num_frames, len(names)))
    frame = np.repeat(frame[:, ::24], 24, axis=1).astype(np.float32)
    clip = random.random((NUM_CLIPS, len(names))).astype(np.float32)
    posteriors = PosteriorSet(
        split.clip_ids, tuple(names), FRONT_END.hop_s, clip, frame, RULES
    )
    evaluator = Evaluator(split, None)
    figures = SplitFigures(split, num_draws=100)
    rows = [
        figures.add(evaluator.with_own_thresholds(names[0], posteriors)),
        figures.add(evaluator.best_constant(posteriors), Choice(OF_TABLES)),
    ]
    selection = select_examples(rows[0], split)
    kept = {"epoch": 1, "tag_f1": 0.5, "mean_average_precision": 0.4}
    return ReportData(
        title=names[1],
        note=names[2],
        split=split,
        rows=rows,
        main_row=rows[0],
        selection=selection,
        front_end=FRONT_END,
        read_clip=tone,
        attention=frame[selection.clips],
        attention_note="",
        curves={"loss": [[0.5, 0.7]], "scores": [kept], "split": "testing"},
    )


def show_all(browser):
    """Shows the cards of all clips."""
    for _ in range(5):
        browser.evaluate("byId('more').hidden || byId('more').click()")
    assert browser.evaluate("byId('more').hidden")


def count(browser, selector):
    return browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")


def figures(browser):
    """All figures at the sliders."""
    cells = "[...document.querySelectorAll('[data-score]')]"
    return browser.evaluate(f"{cells}.map((cell) => cell.firstChild.textContent)")
