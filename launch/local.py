#!/usr/bin/env python3
"""Starts a command in several processes of this machine that train together.

    python launch/local.py -n 2 -- python -m gcrnn_jax.main --config=configs/sed.py

The processes find each other by GCRNN_COORDINATOR, GCRNN_NUM_PROCESSES and
GCRNN_PROCESS_ID. GPUs are dealt out: each process sees its share by
GCRNN_LOCAL_DEVICE_IDS if --devices-per-process is given. A SIGTERM goes to all; when
one fails the others, which would wait for it for ever, are ended.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time


def main() -> int:
    """Returns the first exit code that is not 0, or 0."""
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
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    flags = parser.parse_args()
    command = flags.command[1:] if flags.command[:1] == ["--"] else flags.command
    if not command or flags.processes < 1:
        parser.error("expected -n of at least 1 and a command after --")
    children = _start(command, flags.processes, flags.devices_per_process)

    interrupted: list[float] = []  # when

    def forward(number, _):
        if number == signal.SIGINT:
            interrupted.append(time.monotonic())
        for child in children:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    return _wait(children, interrupted, flags.grace_s)


def _start(command, count: int, devices: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    children = []
    for process in range(count):
        env = {
            **os.environ,
            "GCRNN_COORDINATOR": address,
            "GCRNN_NUM_PROCESSES": str(count),
            "GCRNN_PROCESS_ID": str(process),
        }
        if devices:
            ids = range(process * devices, (process + 1) * devices)
            env["GCRNN_LOCAL_DEVICE_IDS"] = ",".join(map(str, ids))
        children.append(subprocess.Popen(command, env=env))
    return children


def _wait(
    children: list[subprocess.Popen], interrupted: list[float], grace_s: float
) -> int:
    failed, deadline = 0, None
    while None in (codes := [child.poll() for child in children]):
        codes = [code for code in codes if code]
        if codes and deadline is None:
            failed, deadline = codes[0], time.monotonic() + grace_s
        if interrupted and deadline is None:
            deadline = interrupted[0] + grace_s
        if deadline is not None and time.monotonic() > deadline:
            for child in children:  # SIGTERM would be swallowed by jax's own service
                child.kill()
        time.sleep(0.1)
    codes = [failed, *(child.returncode for child in children)]
    first = next((code for code in codes if code), 0)
    return first if first >= 0 else 128 - first


if __name__ == "__main__":
    sys.exit(main())
