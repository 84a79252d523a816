"""What ends a command decides its exit code, and is told without a traceback."""

import pytest

from gcrnn_jax import errors


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.GcrnnError("a"), 1, "error: a\n"),
        (errors.ConfigError("b"), 2, "error: b\n"),
        (errors.DataError("c"), 65, "error: c\n"),
        (errors.DivergedError("d"), 70, "error: d\n"),
        (errors.WorkdirError("e"), 73, "error: e\n"),
        (errors.StorageError("f"), 74, "error: f\n"),
        (OSError(28, "No space left on device"), 74, "No space left on device\n"),
        (errors.PreemptedError("g"), 75, "error: g\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_every_error_ends_a_command_with_its_code(error, code, message, capsys):
    def command():
        raise error

    with pytest.raises(SystemExit) as end:
        errors.run_command(command)
    assert end.value.code == code
    assert capsys.readouterr().err.endswith(message)


def test_a_name_cannot_forge_a_line_of_an_error(capsys):
    name = "a.wav\nerror: b\x1b[2J\u2028\u202ec\udcff"
    for error in (
        errors.DataError(f"{name}: bad", "  more"),
        OSError(28, "full", name),
    ):
        errors.print_error(error)
    first, more, third = capsys.readouterr().err.splitlines()
    assert first == r"error: a.wav\nerror: b\x1b[2J\u2028\u202ec\udcff: bad"
    assert more == "  more" and third.startswith("error: [Errno 28] full: 'a.wav")


def test_who_no_longer_reads_ends_a_command_quietly(capsys):
    def command():
        raise BrokenPipeError

    with pytest.raises(SystemExit) as end:
        errors.run_command(command)
    assert end.value.code == 0 and capsys.readouterr().err == ""
