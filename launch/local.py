#!/usr/bin/env python3
"""Starts a command in several processes of this machine that train together.

    python launch/local.py -n 2 -- python -m gcrnn_jax.main --config=configs/sed.py

The processes find each other by GCRNN_COORDINATOR, GCRNN_NUM_PROCESSES and
GCRNN_PROCESS_ID. GPUs are dealt out: each process sees its share by
GCRNN_LOCAL_DEVICE_IDS if --devices-per-process is given. A SIGTERM goes to all; when
one fails the others, which would wait for it for ever, are ended, and it is said which
one it was. The exit code is that of the first to fail, 128 + N after signal N.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

# flags, data, divergence, folder in use, preempted, interrupted: not to be tried again
FINAL_CODES = {0, 2, 65, 70, 73, 75, 130}


def main() -> int:
    """Returns the exit code of the last start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--processes", type=int, required=True)
    parser.add_argument(
        "--devices-per-process",
        type=int,
        default=0,
        help="of this machine's GPUs, in order; 0: jax decides",
    )
    parser.add_argument(
        "--grace-s",
        type=float,
        default=20.0,
        help="for the others to end by themselves after one has failed",
    )
    parser.add_argument(
        "--restarts",
        type=int,
        default=0,
        help="how often all are started again after one has crashed or hung "
        "(never after exit codes 2, 65, 70, 73, 75 and 130); default: 0",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    flags = parser.parse_args()
    command = flags.command[1:] if flags.command[:1] == ["--"] else flags.command
    if not command or flags.processes < 1 or flags.restarts < 0:
        parser.error("expected -n of 1 or more, --restarts of 0 or more, a command")
    if not shutil.which(command[0]):
        parser.error(f"{command[0]}: no such program")
    group = Group(command, flags.processes, flags.devices_per_process, flags.grace_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, group.forward)
    for restart in range(flags.restarts + 1):
        code = group.run()
        if code in FINAL_CODES or group.was_signalled or restart == flags.restarts:
            break
        print(f"local.py: restart {restart + 1} of {flags.restarts}", file=sys.stderr)
    return code


class Group:
    """The processes of a command.

    Attributes:
        was_signalled: Whether a signal was to end them.
    """

    def __init__(self, command: list[str], count: int, devices: int, grace_s: float):
        """See the flags."""
        self.was_signalled = False
        self._command, self._count, self._devices = command, count, devices
        self._grace_s = grace_s
        self._children: list[subprocess.Popen] = []
        self._deadline = float("inf")

    def forward(self, number: int, _: object) -> None:
        """Hands a signal on to all of them."""
        self.was_signalled = True
        if number == signal.SIGINT:
            self._end_soon()
        for child in self._children:
            child.send_signal(number)

    def run(self) -> int:
        """Starts them all, and waits until all have ended."""
        self._deadline = float("inf")
        self._children = self._start()
        if self.was_signalled:  # meanwhile
            self.forward(signal.SIGTERM, None)
        cause: subprocess.Popen | None = None
        while None in [child.poll() for child in self._children]:
            cause = cause or self._first_failure()
            if time.monotonic() > self._deadline:
                for child in self._children:  # SIGTERM would be swallowed by jax
                    child.kill()
            time.sleep(0.05)
        cause = cause or self._first_failure()
        if cause is None:
            return 0
        return cause.returncode if cause.returncode > 0 else 128 - cause.returncode

    def _first_failure(self) -> subprocess.Popen | None:
        """The process that has failed, if one has; says how.

        Of several at once one that a signal has ended: the others have noticed it.
        """
        failed = [child for child in self._children if child.returncode]
        if not failed:
            return None
        cause = min(failed, key=lambda child: child.returncode)
        cause = cause if cause.returncode < 0 else failed[0]
        process, code = self._children.index(cause), cause.returncode
        how = f"was ended by {_name(-code)}" if code < 0 else f"ended with {code}"
        which = f"process {process} of {self._count} (process id {cause.pid})"
        print(f"local.py: {which} {how}", file=sys.stderr)
        self._end_soon()
        return cause

    def _end_soon(self) -> None:
        self._deadline = min(self._deadline, time.monotonic() + self._grace_s)

    def _start(self) -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        children = []
        for process in range(self._count):
            env = {
                **os.environ,
                "GCRNN_COORDINATOR": address,
                "GCRNN_NUM_PROCESSES": str(self._count),
                "GCRNN_PROCESS_ID": str(process),
            }
            if self._devices:
                ids = range(process * self._devices, (process + 1) * self._devices)
                env["GCRNN_LOCAL_DEVICE_IDS"] = ",".join(map(str, ids))
            children.append(subprocess.Popen(self._command, env=env))
        return children


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has none
        return f"signal {number}"


if __name__ == "__main__":
    sys.exit(main())
