"""Ctrl-C and SIGTERM: at once where nothing can be lost, after the current step where a checkpoint is to be saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pie_cli.devices import is_main_process
from pie_cli.errors import Interrupted

ECHO_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def raise_on_signals() -> None:
    """From now on, a signal raises `Interrupted` wherever the program is.

    Of several processes of one training, the others ignore signals until they train: they end with the first.
    """

    def handle(signum: int, frame: FrameType | None) -> None:
        raise Interrupted(signum, "stopped; files written so far are whole")

    for signum in _SIGNALS:
        signal.signal(signum, handle if is_main_process() else signal.SIG_IGN)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], int | None]]:
    """Within the block a first signal is only noted, and the yielded function returns its number; a second one acts.

    A second one within `ECHO_SECONDS` does not count: Ctrl-C in a terminal, or a cluster's stop, reaches a whole family
    of processes at once, and then a parent tells its children again.
    """
    noted: list[tuple[int, float]] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield lambda: None
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        if not noted:
            noted.append((signum, time.monotonic()))
        elif time.monotonic() - noted[0][1] > ECHO_SECONDS:
            restore()
            signal.raise_signal(signum)

    previous = {signum: signal.getsignal(signum) for signum in _SIGNALS}

    def restore() -> None:
        for signum, handler in previous.items():
            signal.signal(signum, handler)

    for signum in _SIGNALS:
        signal.signal(signum, handle)
    try:
        yield lambda: noted[0][0] if noted else None
    finally:
        restore()
