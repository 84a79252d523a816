"""What a reader moves, filters and plays on the page."""

import pytest

from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.metrics.tables import percent
from tests.report.pages import RULES, figures, show_all


def move(browser, kind, value):
    browser.evaluate(
        f"""(() => {{
          const slider = byId("{kind}-threshold");
          slider.value = tables.values["{kind}"].indexOf({value});
          slider.dispatchEvent(new Event("input"));
        }})()"""
    )


def test_sliders_show_what_python_computes(browser, file, data):
    browser.open(file)
    posteriors, split = data.main_row.posteriors, data.split

    def expect(k=None, **changed):
        rules = Postprocessing(**{**vars(RULES), **changed})
        scores = score(decide(posteriors, rules), posteriors, split)
        tags, events = scores.tagging, scores.detection
        found = figures(browser)
        if k is None:
            assert found[:4] == [*rates(tags.micro), percent(tags.macro_f1)]
            assert found[4:7] == rates(events.micro)
            assert found[7] == f"{events.error_rate:.3f}"
            assert found[11] == f"{events.insertion_rate:.3f}"
        else:
            name = split.class_names[k]
            assert found[:3] == rates(tags.per_class[name].rates)
            assert found[3:6] == rates(events.per_class[name].rates)
            assert found[6] == f"{events.per_class[name].error_rate:.3f}"
        return tuple(found)

    start = expect()
    move(browser, "tag", 0.8)
    moved = expect(tag_threshold=0.8)
    move(browser, "event", 0.22)
    both = expect(tag_threshold=0.8, event_threshold=0.22)
    assert len({start, moved, both}) == 3
    browser.evaluate("document.querySelectorAll('.curve')[2].click()")
    alone = expect(2)
    move(browser, "tag", 0.05)
    assert alone != expect(2, tag_threshold=(0.5, 0.5, 0.05, 0.5))
    precision, recall = figures(browser)[1:3]
    dot = "document.querySelectorAll('.curve')[2].querySelector('circle')"
    for axis, share in (("cx", float(recall)), ("cy", 100 - float(precision))):
        place = browser.evaluate(f"parseFloat({dot}.getAttribute('{axis}'))")
        assert place == pytest.approx(share, abs=0.06)
    read = browser.evaluate("document.querySelectorAll('.rates')[2].textContent")
    assert read.startswith(f"at 0.05: precision {float(precision):.1f}")
    read = browser.evaluate("document.querySelectorAll('.rates')[1].textContent")
    assert read.startswith("at 0.5:")
    browser.evaluate("byId('reset').click()")
    assert expect() == start


def rates(values):
    return [percent(v) for v in (values.f1, values.precision, values.recall)]


def test_filters_leave_the_clips_with_such_an_example(browser, file, data):
    browser.open(file)
    example = next(e for e in data.selection.examples if e.kind == "miss")
    browser.evaluate(
        f"""(() => {{
          byId("which-kind").selectedIndex = 2;
          byId("which-example").selectedIndex = {1 + example.class_index};
          byId("which-kind").dispatchEvent(new Event("change"));
        }})()"""
    )
    pair = (example.kind, example.class_index)
    fitting = {e.clip for e in data.selection.examples if e[::2] == pair}
    names = browser.evaluate(
        "[...document.querySelectorAll('.card:not([hidden]) h3')]"
        ".map((title) => title.textContent)"
    )
    assert sorted(names) == sorted(data.split.clip_ids[n] for n in fitting)


def test_the_cursor_follows_the_recording_and_moves_it(browser, file):
    browser.open(file, width=1000, height=1000)
    show_all(browser)
    browser.evaluate("window.card = document.querySelector('.card:has(audio)')")
    browser.evaluate("window.audio = card.querySelector('audio')")
    browser.wait_for("audio.readyState > 0")
    assert browser.evaluate("audio.duration") == pytest.approx(10, abs=0.1)
    browser.evaluate("card.scrollIntoView({behavior: 'instant'})")
    left, y, width = browser.evaluate(
        """(() => {
          const box = card.querySelector(".panels").getBoundingClientRect();
          return [box.left, box.top + 60, box.width];
        })()"""
    )
    browser.click(left + 0.5 * width, y)
    assert abs(browser.evaluate("audio.currentTime") - 5) < 0.05
    cursor = "card.querySelector('.cursor').getBoundingClientRect().left"
    browser.wait_for(f"Math.abs({cursor} - {left + 0.5 * width}) < 2")
    browser.click(left + width - 1, y)  # to the end, of which a little is kept
    assert browser.evaluate("audio.currentTime") == pytest.approx(9.9)
    browser.evaluate("audio.currentTime = 0")
    browser.evaluate("audio.play()")
    browser.wait_for(f"{cursor} > {left + 0.02 * width}")
    others = "[...document.querySelectorAll('audio')].filter((a) => a !== audio)"
    browser.evaluate(f"{others}[0].play()")
    browser.wait_for("audio.paused")
    assert not browser.evaluate("audio.ended")
    assert browser.complaints == []
