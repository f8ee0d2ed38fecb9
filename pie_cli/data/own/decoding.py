"""Decoding the pictures of a set into a partial file, a block at a time, by several processes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from PIL import Image

from pie_cli.data.base import Preprocessing
from pie_cli.data.own.listing import Listing
from pie_cli.data.own.pictures import Look, Unreadable, fit
from pie_cli.errors import PIEError
from pie_cli.runtime import cores

BLOCK = 1_024  # pictures
POOLED = 512  # pictures from which several processes are worth their start


class Unfinished(PIEError):
    """Decoding has stopped, and can go on where it was."""


class Source(Protocol):
    """Where pictures are read from."""

    path: Path
    fingerprint: str  # changes when the pictures do
    parallel: bool  # whether several processes can read at once

    @property
    def listing(self) -> Listing: ...

    def picture(self, index: int) -> tuple[Image.Image, Look]: ...


@dataclass(frozen=True)
class Block:
    """What became of some of the pictures.

    Arguments:
        number: which block it is.
        sha256: of its bytes in the partial file.
        bad: the pictures that could not be read, with the reason.
        coloured: whether any of them has a colour.
        sizes: the width and height of those that are not of the size of the set.
        transparent, animated: how many had transparent parts, or several frames.
    """

    number: int
    sha256: str
    bad: list[tuple[int, str]] = field(default_factory=list)
    coloured: bool = False
    sizes: list[tuple[int, int, int]] = field(default_factory=list)
    transparent: int = 0
    animated: int = 0


@dataclass(frozen=True)
class Plan:
    """What is to be made of which pictures, and where."""

    source: Source
    settings: Preprocessing
    shape: tuple[int, int, int]  # (C, H, W) in the partial file: C is 3, unless grey is asked for
    partial: Path

    def make(self, number: int) -> Block:
        """Decode a block into its place in the partial file."""
        first = number * BLOCK
        last = min(first + BLOCK, len(self.source.listing.names))
        rows, bad, sizes, transparent, animated = np.zeros((last - first, *self.shape), np.uint8), [], [], 0, 0
        for index in range(first, last):
            try:
                image, look = self.source.picture(index)
                row = fit(image, self.settings)
            except Unreadable as error:
                bad.append((index, str(error)))
                continue
            if row.shape != self.shape:
                sizes.append((index, row.shape[2], row.shape[1]))
                continue
            rows[index - first] = row
            transparent, animated = transparent + look.transparent, animated + look.animated
        with _named(self.partial), open(self.partial, "r+b") as file:
            file.seek(first * rows[0].nbytes)
            file.write(rows.data)
        coloured = self.shape[0] == 3 and bool((rows[:, 1:] != rows[:, :1]).any())
        sha256 = hashlib.sha256(rows.data).hexdigest()
        return Block(number, sha256, bad, coloured, sizes, transparent, animated)


def decode(plan: Plan, progress: Callable[[int, int], None]) -> list[Block]:
    """Return what became of each block, once all are in the partial file; `progress` is called with counts of pictures.

    Finished blocks are noted beside the partial file. Raises `Unfinished` if a process that decodes dies, OSError if
    the partial file cannot be written.
    """
    total = len(plan.source.listing.names)
    notes = plan.partial.with_suffix(".progress")
    done = _finished(plan, notes)
    with open(plan.partial, "ab"):  # it is there, and keeps what it has
        pass
    missing = [number for number in range(-(-total // BLOCK)) if number not in done]
    with open(notes, "ab", buffering=0) as file:
        if not done:
            file.truncate(0)
            _write_line(notes, file, plan.shape)
        for block in _made(plan, missing):
            done[block.number] = block
            stored = asdict(block)
            _write_line(notes, file, stored | {"seal": _seal(stored)})
            progress(min(len(done) * BLOCK, total), total)
    return [done[number] for number in sorted(done)]


def _finished(plan: Plan, notes: Path) -> dict[int, Block]:
    """Return the blocks that an earlier preparation has finished, by number: noted, and with the bytes as noted."""
    found = dict[int, Block]()
    with suppress(FileNotFoundError), open(notes, "rb") as lines, open(plan.partial, "rb") as file:
        size = BLOCK * plan.shape[0] * plan.shape[1] * plan.shape[2]
        if next(lines, b"") != json.dumps(plan.shape).encode() + b"\n":
            return {}
        for line in lines:
            if (block := _noted(line)) is not None:
                file.seek(block.number * size)
                if hashlib.sha256(file.read(size)).hexdigest() == block.sha256:
                    found[block.number] = block
    return found


def _noted(line: bytes) -> Block | None:
    """Return the block of a note; None if the note is damaged, or half a one of a process that was killed."""
    try:
        stored = json.loads(line)
        return Block(**stored) if stored.pop("seal") == _seal(stored) else None
    except Exception:
        return None


def _write_line(notes: Path, file: IO[bytes], stored: object) -> None:
    with _named(notes):
        file.write(json.dumps(stored).encode() + b"\n")


def _seal(stored: dict[str, Any]) -> str:
    """Return what shows that the note of a block is whole."""
    return hashlib.sha256(json.dumps(stored).encode()).hexdigest()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Make an OSError of the block name the file, as those of writing do not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _made(plan: Plan, numbers: Sequence[int]) -> Iterator[Block]:
    """Yield blocks as they are made: by one process for each core, if that is worth their start."""
    processes = min(cores(), len(numbers))
    if not plan.source.parallel or processes < 2 or len(numbers) * BLOCK < POOLED:
        yield from map(plan.make, numbers)
        return
    # Fresh interpreters: forking a process whose threads hold locks is not safe.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(plan,))
    try:
        for made in as_completed([pool.submit(_make, number) for number in numbers]):
            yield made.result()
    except BrokenProcessPool as error:
        problem = "a process that prepares pictures died (out of memory?)"
        raise Unfinished(f"{problem}; run the same command again") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_plan: Plan  # of a worker


def _begin(plan: Plan) -> None:
    """Be a worker: signals are its parent's business, and it ends when that does."""
    global _plan
    _plan = plan
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _make(number: int) -> Block:
    return _plan.make(number)
