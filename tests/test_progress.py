"""Progress is a bar on a terminal and now and then a line elsewhere."""

import io

import pytest

from gcrnn_jax.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(steps: list[float], **options) -> list[str]:
    """What is printed when one unit is done at each of these times."""
    stream, now = io.StringIO(), [0.0]
    with Progress(
        label="training", unit="clips", stream=stream, clock=lambda: now[0], **options
    ) as display:
        for time in steps:
            now[0] = time
            display.update()
    return stream.getvalue().splitlines()


def test_lines_come_at_most_so_often_and_at_the_end():
    assert lines([1, 9, 10, 11, 19, 20, 21], total=14) == [
        "training: 3/14 clips, 0.3 clips/s, 0:37 left",
        "training: 6/14 clips, 0.3 clips/s, 0:27 left",
        "training: 7/14 clips, 0.3333 clips/s, 0:21 left",
    ]


def test_what_an_earlier_run_did_is_no_speed():
    [line] = lines([2, 4], total=100, initial=98)
    assert line == "training: 100/100 clips, 0.5 clips/s, 0:04 taken"


def test_without_a_total_there_is_no_time_left():
    assert lines([3700]) == ["training: 1 clips, 0.0002703 clips/s, 1:01:40 taken"] * 2


def test_named_values_are_shown():
    stream = io.StringIO()
    with Progress(label="epoch", unit="steps", total=3, stream=stream) as display:
        for step in (1, 2, 3):
            display.postfix(loss=0.123456, step=step)
            display.update()
    assert stream.getvalue().startswith("epoch: 3/3 steps")
    assert stream.getvalue().endswith("loss=0.1235 step=3\n")


def test_a_terminal_gets_a_bar_with_the_values():
    stream = Terminal()
    with Progress(label="training", unit="clips", total=2, stream=stream) as display:
        display.postfix(loss=0.5)
        display.write("a message")
        display.update(2)
    text = stream.getvalue()
    assert "100%" in text
    assert "loss=0.5" in text
    assert "a message\n" in text


def test_an_error_ends_the_display_and_comes_through():
    stream = io.StringIO()
    with pytest.raises(KeyError), Progress(label="a", unit="b", stream=stream):
        raise KeyError
    assert len(stream.getvalue().splitlines()) == 1


def test_parts_of_a_unit_count_and_tell_the_time_that_is_left():
    stream, now = io.StringIO(), [0.0]
    options = {"total": 1, "stream": stream, "clock": lambda: now[0]}
    with Progress(label="predicting", unit="recordings", **options) as display:
        for now[0], part in ((12.0, 0.1234567), (20.0, 0.8765433)):
            display.update(part)
    assert stream.getvalue().splitlines() == [
        "predicting: 0.12/1 recordings, 0.01029 recordings/s, 1:25 left",
        "predicting: 1/1 recordings, 0.05 recordings/s, 0:20 taken",
    ]
    stream = Terminal()
    shown = {"label": "predicting", "unit": "recordings", "total": 1}
    with Progress(**shown, stream=stream) as display:
        display.update(0.1234567)
    assert "0.12/1" in stream.getvalue()
