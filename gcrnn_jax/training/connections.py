"""Connections between the processes of a run, that carry lines of words."""

import contextlib
import errno
import os
import socket
import time

from gcrnn_jax.errors import ConfigError, PeerError
from gcrnn_jax.training.launchers import Place

LATE_S = 3.0  # after so long, one that says something every second is late


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text or default)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ConfigError(f"{name}: expected seconds above 0, got {text!r}")
    return value


class Timeouts:
    """How long processes wait for each other.

    Attributes:
        join_s: For all of them to come (GCRNN_JOIN_TIMEOUT_S).
        silent_s: For a sign of life (GCRNN_PEER_TIMEOUT_S); more than a network file
            system may keep a process waiting in a page fault.
    """

    def __init__(self):
        """Reads both from the environment."""
        self.join_s = _seconds("GCRNN_JOIN_TIMEOUT_S", 300.0)
        self.silent_s = _seconds("GCRNN_PEER_TIMEOUT_S", 60.0)


class Link:
    """A connection that carries lines of words, and when it last did."""

    def __init__(self, connection: socket.socket):
        connection.settimeout(LATE_S)  # what is sent is short: it never fills a buffer
        self.socket = connection
        self.heard_at = time.monotonic()
        self.is_done = False
        self.name = ""
        self._partial = b""

    def send(self, *words: object) -> None:
        """Sends a line; that the other side is gone is for `receive` to find."""
        with contextlib.suppress(OSError):
            self.socket.sendall((" ".join(map(str, words)) + "\n").encode())

    def receive(self) -> list[list[str]] | None:
        """Returns the messages that have come; None: the other side is gone."""
        try:
            data = self.socket.recv(4096)
        except OSError:
            return None
        if not data or len(self._partial) > 4096:
            return None
        self.heard_at = time.monotonic()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [line.decode(errors="replace").split() for line in lines]

    @property
    def silent_s(self) -> float:
        """Since when nothing has come that still should."""
        return 0.0 if self.is_done else time.monotonic() - self.heard_at

    def lost(self, seconds: float = 0.0) -> PeerError:
        """The error that the other side is gone, or silent for so many seconds."""
        if not seconds:
            return PeerError(
                f"{self.name} has ended unexpectedly: look at the end of its output, "
                "and whether it was killed or ran out of memory; start the run again"
            )
        return PeerError(
            f"{self.name} has given no sign of life for {seconds:.0f} s "
            "(GCRNN_PEER_TIMEOUT_S): look whether it was stopped, its machine is "
            "overloaded or the network is down; start the run again"
        )


def listen(place: Place) -> socket.socket:
    """The socket of the first process.

    Raises:
        PeerError: Another program listens there.
    """
    try:
        if place.is_on_loopback:  # nobody else needs to reach it
            return socket.create_server((place.host, place.port))
        try:
            address, family = ("", place.port), socket.AF_INET6
            return socket.create_server(address, family=family, dualstack_ipv6=True)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise
            return socket.create_server(("", place.port))  # a machine without IPv6
    except OSError as error:
        raise PeerError(
            f"process 0 cannot listen on port {place.port} of {socket.gethostname()} "
            f"({error.strerror}): end the program that does (`ss -tlnp` lists it), or "
            "choose another port for all processes by JAX_COORDINATOR_PORT"
        ) from None
