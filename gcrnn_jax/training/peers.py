"""The processes of a run know of each other: who has come, who failed, who is gone.

The first process has a connection to every other one, from before JAX joins them until
the command ends. JAX's own service ends a process by `abort()`, minutes late, where
another one is missing or dies; a collective just waits for it. Here every process says
once a second that it is there, and the first one decides when and why all of them end,
with one message and one exit code.
"""

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from gcrnn_jax.errors import PeerError, exit_now, print_error
from gcrnn_jax.training.connections import LATE_S, Link, Timeouts, listen
from gcrnn_jax.training.launchers import Place

_BEAT_S = 1.0
_HOLD_S = 1.0  # a failure may be what another process's end looks like from here
_LEAVE_S = 5.0  # for the others to end, before what they are connected to does
_HELLO = "gcrnn_jax"
_NOBODY = -1


class Peers:
    """The other processes, as this one sees them; `join` makes one."""

    def __init__(self, place: Place, timeouts: Timeouts):
        self._place, self._timeouts = place, timeouts
        self._selector = selectors.DefaultSelector()
        self._links: dict[int, Link] = {}  # by process
        self._beat_at = 0.0
        self._over = threading.Event()
        self._is_closing = False
        self._is_mine = threading.Event()  # this process's failure ends the run
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def fail(self, code: int, show: Callable[[], None]) -> NoReturn:
        """Ends all processes for an error of this one, or for what caused that.

        Args:
            code: Exit code of all.
            show: Prints the error; called if none came before it.
        """
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C
        self._report(code)
        self._is_mine.wait()  # or the other thread ends the process
        show()
        self._leave()
        exit_now(code)

    def close(self) -> None:
        """Tells the others that this process ends as it should."""
        self._is_closing = True
        for link in [*self._links.values()]:
            link.send("done")
            self._end_writing(link)
        deadline = time.monotonic() + _LEAVE_S
        while self._links and time.monotonic() < deadline:
            time.sleep(0.01)
        self._over.set()
        self._thread.join(_LEAVE_S)

    def _end_writing(self, link: Link) -> None:
        """What is closed while something is unread may lose its last words."""

    def _watch(self) -> None:
        while not self._over.is_set():
            self._turn()
            self._judge()

    def _turn(self) -> None:
        """Says that this process is there, and hears the others, for a moment."""
        if time.monotonic() >= self._beat_at + _BEAT_S:
            self._beat_at = time.monotonic()
            for link in self._links.values():
                link.send("here")
        for key, _ in self._selector.select(_BEAT_S / 4):
            self._read(key.data)

    def _read(self, link: Link | None) -> None:
        raise NotImplementedError

    def _judge(self) -> None:
        raise NotImplementedError

    def _report(self, code: int) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        """Waits, in the first process, until the others have left."""


class _First(Peers):
    """The first process, which the others are connected to."""

    def __init__(self, place: Place, timeouts: Timeouts):
        super().__init__(place, timeouts)
        self._server = listen(place)
        self._selector.register(self._server, selectors.EVENT_READ)
        self._failure: tuple[int, int, float] | None = None  # code, process, when
        self._gone: list[Link] = []
        self._count = str(place.count)
        self._others = [str(k) for k in range(1, place.count)]

    def gather(self) -> None:
        deadline = time.monotonic() + self._timeouts.join_s
        while len(self._links) < self._place.count - 1:
            self._turn()
            if time.monotonic() > deadline:
                missing = [k for k in self._others if int(k) not in self._links]
                self._tell_all("end", PeerError.exit_code, _NOBODY)
                raise PeerError(
                    f"process{'es' * (len(missing) > 1)} {', '.join(missing)} of "
                    f"{self._place.count} did not come to process 0 at "
                    f"{self._place.address} within {self._timeouts.join_s:.0f} s "
                    "(GCRNN_JOIN_TIMEOUT_S): look whether they were started, what they "
                    "printed, and whether they can reach that address"
                )
        self._selector.unregister(self._server)
        self._server.close()  # the port is that of JAX's service now
        self._gone.clear()  # came again since
        self._tell_all("start")
        self._thread.start()

    def _read(self, link: Link | None) -> None:
        if link is None:
            with contextlib.suppress(OSError):
                link = Link(self._server.accept()[0])
                self._selector.register(link.socket, selectors.EVENT_READ, link)
            return
        messages = link.receive()
        for message in messages or ():
            match message:
                case [hello, run, count, process, host, pid] if (hello, run, count) == (
                    _HELLO,
                    self._place.run,
                    self._count,
                ) and process in self._others:
                    link.name = f"process {process} ({host}, process id {pid})"
                    self._links[int(process)] = link
                case ["failed", code] if self._failure is None and link.name:
                    self._fail(int(code), self._process(link))
                case ["done"]:
                    link.is_done = True
        if messages is None:
            self._selector.unregister(link.socket)
            link.socket.close()
            if link in self._links.values():
                del self._links[self._process(link)]
                if not link.is_done:
                    self._gone.append(link)

    def _process(self, link: Link) -> int:
        return next((k for k, one in self._links.items() if one is link), _NOBODY)

    def _fail(self, code: int, process: int) -> None:
        self._failure = code, process, time.monotonic()

    def _report(self, code: int) -> None:
        if self._failure is None:
            self._fail(code, 0)

    def _judge(self) -> None:
        """Ends the run for the process that is gone, or else that failed first."""
        for link in self._gone:
            self._end(link.lost())
        silent = max(self._links.values(), key=lambda x: x.silent_s, default=None)
        silent_s = silent.silent_s if silent else 0.0
        if silent and silent_s > self._timeouts.silent_s:
            self._end(silent.lost(silent_s))
        # while one is silent, another's failure may be but the consequence
        if self._failure and silent_s < LATE_S:
            code, process, failed_at = self._failure
            if time.monotonic() > failed_at + _HOLD_S:
                self._tell_all("end", code, process)
                if process == 0:
                    self._over.set()
                    self._is_mine.set()
                else:
                    self._leave()
                    exit_now(code)

    def _end(self, error: PeerError) -> NoReturn:
        print_error(error)
        self._tell_all("end", error.exit_code, _NOBODY)
        self._leave()
        exit_now(error.exit_code)

    def _tell_all(self, *words: object) -> None:
        for link in self._links.values():
            link.send(*words)

    def _leave(self) -> None:
        deadline = time.monotonic() + _LEAVE_S
        while self._links and time.monotonic() < deadline:
            self._turn()


class _Other(Peers):
    """A process that is connected to the first one."""

    def __init__(self, place: Place, timeouts: Timeouts):
        super().__init__(place, timeouts)
        self._has_started = False

    def join(self) -> None:
        deadline = time.monotonic() + self._timeouts.join_s
        while not self._has_started:
            if time.monotonic() > deadline:
                raise PeerError(
                    f"process {self._place.process} of {self._place.count} had no "
                    f"answer from process 0 at {self._place.address} within "
                    f"{self._timeouts.join_s:.0f} s (GCRNN_JOIN_TIMEOUT_S): look "
                    "whether that was started, what it printed, and whether this "
                    "machine can reach it"
                )
            with contextlib.suppress(OSError):
                self._connect()
                self._wait_for_start()
            if not self._has_started:
                time.sleep(_BEAT_S / 4)
        self._thread.start()

    def _wait_for_start(self) -> None:
        """Returns without it where a stranger answers, or the first process is gone."""
        while not self._has_started and 0 in self._links:
            self._turn()
            if 0 in self._links and self._links[0].silent_s > self._timeouts.silent_s:
                self._drop()

    def _connect(self) -> None:
        place = self._place
        address = place.host, place.port
        link = Link(socket.create_connection(address, timeout=LATE_S))
        link.name = f"process 0 ({place.address})"
        host, pid = socket.gethostname(), os.getpid()
        link.send(_HELLO, place.run, place.count, place.process, host, pid)
        self._links[0] = link
        self._selector.register(link.socket, selectors.EVENT_READ, link)

    def _end_writing(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            link.socket.shutdown(socket.SHUT_WR)

    def _drop(self) -> None:
        link = self._links.pop(0)
        self._selector.unregister(link.socket)
        link.socket.close()

    def _read(self, link: Link | None) -> None:
        assert link is not None
        messages = link.receive()
        for message in messages or ():
            match message:
                case ["start"]:
                    self._has_started = True
                case ["done"]:
                    link.is_done = True
                case ["end", code, process]:
                    if process == str(self._place.process):
                        self._over.set()
                        self._is_mine.set()
                    else:
                        exit_now(int(code))
        if messages is None:
            is_expected = link.is_done or self._is_closing or not self._has_started
            if not is_expected and not self._over.is_set():
                self._end(link.lost())
            self._drop()
            if self._has_started:
                self._over.set()
                self._is_mine.set()

    def _judge(self) -> None:
        for link in self._links.values():
            if link.silent_s > self._timeouts.silent_s:
                self._end(link.lost(link.silent_s))

    def _report(self, code: int) -> None:
        for link in self._links.values():
            link.send("failed", code)

    def _end(self, error: PeerError) -> NoReturn:
        print_error(error)
        exit_now(error.exit_code)


def join(place: Place) -> Peers:
    """Waits until all processes of a run have come.

    Raises:
        PeerError: One has not come in time, or the port of the first is in use.
        ConfigError: GCRNN_JOIN_TIMEOUT_S or GCRNN_PEER_TIMEOUT_S is no time.
    """
    timeouts = Timeouts()
    if place.process == 0:
        first = _First(place, timeouts)
        first.gather()
        return first
    other = _Other(place, timeouts)
    other.join()
    return other
