"""Who is missing, gone or silent is named by one process, and all end with one code."""

import contextlib
import os
import re
import socket
import threading
import time

import pytest

from gcrnn_jax.errors import ConfigError, PeerError
from gcrnn_jax.training import peers
from gcrnn_jax.training.launchers import Place


class Exited(SystemExit):
    """Stands for the end of a process, in the thread that would have ended it."""


@pytest.fixture
def run(monkeypatch):
    """Joins processes of this process, each in threads of its own; see `Run`."""
    monkeypatch.setenv("GCRNN_JOIN_TIMEOUT_S", "60")
    monkeypatch.setattr(peers, "_BEAT_S", 0.2)
    monkeypatch.setattr(peers, "_HOLD_S", 0.3)
    monkeypatch.setattr(peers, "_LEAVE_S", 1.0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    run = Run()
    monkeypatch.setattr(peers, "exit_now", run.exit_now)
    yield run
    for one in run.joined.values():
        one._over.set()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Run:
    """Three processes that are to join.

    Attributes:
        joined: Those that have.
        exits: The exit codes of the ends of processes.
    """

    def __init__(self):
        self.port, self.count = free_port(), 3
        self.joined, self.exits, self.shown = {}, [], []

    def place(self, process):
        return Place("127.0.0.1", self.port, self.count, process)

    def start(self, *processes):
        def join(process):
            with contextlib.suppress(PeerError):
                self.joined[process] = peers.join(self.place(process))

        threads = [
            threading.Thread(target=join, args=(k,), daemon=True) for k in processes
        ]
        for thread in threads:
            thread.start()
        return threads

    def join(self, *processes):
        for thread in self.start(*processes):
            thread.join()

    def fail(self, process, code):
        def fail():
            with contextlib.suppress(Exited):
                self.joined[process].fail(code, lambda: self.shown.append(process))

        threading.Thread(target=fail, daemon=True).start()

    def exit_now(self, code):
        self.exits.append(code)
        raise Exited

    def wait(self, is_so):
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline, (self.joined, self.exits)
            time.sleep(0.01)

    def ends(self, *codes):
        self.wait(lambda: len(self.exits) >= len(codes))
        assert sorted(self.exits) == sorted(codes)

    def hello(self, process):
        """A process that says that it is there once, and nothing after that."""
        deadline = time.monotonic() + 60
        while True:
            try:
                one = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                assert time.monotonic() < deadline
        one.sendall(f"gcrnn_jax - {self.count} {process} node{process} 7\n".encode())
        return one


def test_processes_that_end_as_they_should_raise_no_alarm(run, capsys):
    run.join(0, 1, 2)
    ends = [threading.Thread(target=one.close) for one in run.joined.values()]
    for thread in ends:
        thread.start()
    for thread in ends:
        thread.join()
    assert run.exits == [] and capsys.readouterr().err == ""


def test_the_last_words_of_a_process_arrive_though_it_has_not_read_all(run):
    run.count = 2
    with socket.create_server(("127.0.0.1", run.port)) as server:
        (thread,) = run.start(1)
        first = server.accept()[0]
        first.settimeout(20)
        first.sendall(b"start\n")
        thread.join()
        run.joined[1]._over.set()  # it reads no more
        first.sendall(b"here\n" * 9)
        run.joined[1].close()
        with first, first.makefile("rb") as words:
            assert words.readlines()[-1] == b"done\n"


@pytest.mark.parametrize("process", [0, 2])
def test_the_one_that_fails_shows_its_error_and_all_end_with_its_code(
    run, process, capsys
):
    run.join(0, 1, 2)
    run.fail(process, 70)
    run.ends(70, 70, 70)
    assert run.shown == [process] and capsys.readouterr().err == ""


def test_of_two_failures_the_first_is_shown(run):
    run.join(0, 1, 2)
    run.fail(1, 65)
    time.sleep(0.1)
    run.fail(0, 1)
    run.ends(65, 65, 65)
    assert run.shown == [1]


def test_a_process_that_is_gone_is_named_and_not_who_fails_because_of_it(run, capsys):
    run.start(0, 1)
    gone = run.hello(2)
    run.wait(lambda: len(run.joined) == 2)
    run.fail(0, 1)
    run.fail(1, 1)
    time.sleep(0.1)  # the system may tell of its end later than of theirs
    gone.close()
    run.ends(71, 71)
    assert run.shown == []
    told = "error: process 2 (node2, process id 7) has ended unexpectedly: look"
    assert capsys.readouterr().err.count(told) == 1


def test_a_process_that_is_silent_is_named_after_the_stated_time(
    run, monkeypatch, capsys
):
    """Though another fails meanwhile, as where a collective gives up waiting."""
    monkeypatch.setenv("GCRNN_PEER_TIMEOUT_S", "4.5")
    run.start(0, 1)
    with run.hello(2):
        run.wait(lambda: len(run.joined) == 2)
        time.sleep(3.2)
        run.fail(1, 1)
        run.ends(71, 71)
    assert run.shown == []
    told = (
        r"error: process 2 \(node2, process id 7\) has given no sign of life for [45] s"
    )
    assert len(re.findall(told, capsys.readouterr().err)) == 1


def test_that_the_first_process_is_gone_or_silent_is_said_by_another(
    run, monkeypatch, capsys
):
    monkeypatch.setenv("GCRNN_PEER_TIMEOUT_S", "1")
    run.count = 2
    for is_silent in (False, True):
        with socket.create_server(("127.0.0.1", run.port)) as server:
            (thread,) = run.start(1)
            first = server.accept()[0]
            assert first.recv(99).startswith(b"gcrnn_jax - 2 1 ")
            first.sendall(b"start\n")
            thread.join()
            if not is_silent:
                first.close()
            run.ends(*[71] * (1 + is_silent))
            first.close()
        what = "no sign of life for 1 s" if is_silent else "has ended unexpectedly"
        errors = capsys.readouterr().err
        assert f"error: process 0 (127.0.0.1:{run.port})" in errors and what in errors


def test_missing_processes_are_named_and_those_that_came_end(run, monkeypatch):
    monkeypatch.setenv("GCRNN_JOIN_TIMEOUT_S", "1")
    run.count = 4
    run.start(2)
    with pytest.raises(
        PeerError, match="processes 1, 3 of 4 did not come .* within 1 s"
    ):
        peers.join(run.place(0))
    run.ends(71)


def test_a_first_process_that_does_not_answer_is_named(run, monkeypatch):
    monkeypatch.setenv("GCRNN_JOIN_TIMEOUT_S", "1")
    told = f"process 1 of 3 had no answer from process 0 at 127.0.0.1:{run.port} within"
    with pytest.raises(PeerError, match=told):
        peers.join(run.place(1))


def test_strangers_are_not_taken_for_processes(run):
    """Nor one of another run, or one that went again before all were there."""
    run.start(0)
    run.hello(1).close()
    strangers = (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01" * 3000,
        b"gcrnn_jax other 3 1 node 7\n",
        b"gcrnn_jax - 4 1 node 7\n",
        b"gcrnn_jax - 3 0 node 7\ngcrnn_jax - 3 x node 7\nfailed 70\nfailed\n",
    )
    with contextlib.ExitStack() as stack:
        for words in strangers:
            address = "127.0.0.1", run.port
            stranger = stack.enter_context(socket.create_connection(address))
            with contextlib.suppress(ConnectionError):  # who says too much is not heard
                stranger.sendall(words)
        run.start(2)
        time.sleep(0.5)
        assert run.joined == {}  # one is still missing
        run.join(1)
        run.wait(lambda: len(run.joined) == 3)
    time.sleep(0.5)
    assert run.exits == []


@pytest.mark.parametrize("host", ["127.0.0.1", socket.gethostname()])
def test_a_port_in_use_is_named(run, host):
    with socket.create_server(("", run.port)):
        place = run.place(0)._replace(host=host)
        told = f"cannot listen on port {run.port} of .* in use.* JAX_COORDINATOR_PORT"
        with pytest.raises(PeerError, match=told):
            peers.join(place)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan"])
def test_a_timeout_that_is_none_is_an_error(run, monkeypatch, value):
    monkeypatch.setenv("GCRNN_PEER_TIMEOUT_S", value)
    with pytest.raises(ConfigError, match="GCRNN_PEER_TIMEOUT_S: expected seconds"):
        peers.join(run.place(0))
    assert os.environ["GCRNN_PEER_TIMEOUT_S"] == value
