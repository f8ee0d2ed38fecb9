"""A process that works on runs: how it is started, and that it ends with whoever has started it. Imports nothing heavy.

Its order comes as a line on stdin. The pipe then stays open, so its end tells the process that its parent is gone.
"""

import os
import signal
import subprocess
import sys
import threading


def start_process(order: str, gpu: str = "") -> subprocess.Popen[bytes]:
    """Start `jobs.worker` with an order, which is JSON on one line; with `gpu`, it sees that GPU alone."""
    pinned = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
    here = os.getcwd() in map(os.path.abspath, sys.path)  # a file of the user's must not stand in for a module
    command = [sys.executable, *(["-P"] * (not here)), "-m", "pie_cli.jobs.worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | pinned)
    assert process.stdin is not None
    try:
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:  # it has died already, which whoever waits for it will see
        pass
    return process


def receive_order() -> str:
    """Return this process's order, and from now on have it end as if asked to when its parent is gone."""

    def wait() -> None:
        while os.read(stdin, 1):
            pass
        signal.raise_signal(signal.SIGTERM)

    stdin, order = sys.stdin.fileno(), b""
    while not order.endswith(b"\n") and (byte := os.read(stdin, 2**16)):
        order += byte
    threading.Thread(target=wait, daemon=True).start()
    return order.decode()
