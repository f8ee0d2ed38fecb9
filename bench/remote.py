"""A case in a process of its own, timed on request, so that each library has the memory allocator that its users have.

`pie` tells glibc to keep freed memory (`keep_freed_memory`). That applies to the whole process and cannot be undone, so
another library in the same process would share the gain, or be measured under settings that nobody uses.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench.measure import seconds
from pie_cli.errors import PIEError
from pie_cli.runtime import keep_freed_memory


class Remote:
    """A case that computes in another process, one call after another, on request.

    Arguments:
        name: the case's name, for messages.
        make: a function that can be pickled, and makes the case there from `arguments`.
        device: where the case computes.
        keep_memory: whether the process has `pie`'s allocator settings.
        threads: for torch; None leaves its default.
    """

    def __init__(
        self,
        name: str,
        make: Callable[..., Callable[[], object]],
        *arguments: Any,
        device: torch.device,
        keep_memory: bool,
        threads: int | None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.connection, there = context.Pipe()
        settings = (device, keep_memory, threads)
        self.process = context.Process(target=_serve, args=(there, make, arguments, *settings), daemon=True)
        self.process.start()
        there.close()

    def __call__(self, calls: int) -> float:
        """Return the mean seconds of so many calls. Raises PIEError if one fails."""
        self.connection.send(calls)
        return self.answer()

    def answer(self) -> float:
        """Return what the process measured; the first answer, without a request, is the seconds of its first call."""
        try:
            return float(self.connection.recv())
        except EOFError as error:
            raise PIEError(f"{self.name} failed; its message stands above") from error

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.join()


def _serve(
    connection: Connection,
    make: Callable[..., Callable[[], object]],
    arguments: tuple[Any, ...],
    device: torch.device,
    keep_memory: bool,
    threads: int | None,
) -> None:
    if keep_memory:
        keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    case = make(*arguments)
    connection.send(seconds(case, 1, device))
    while True:
        try:
            calls = connection.recv()
        except EOFError:
            return
        connection.send(seconds(case, calls, device))
