"""The prepared file: all images of a set, decoded once, as bytes that are mapped into memory and shared by processes.

Preparation has two steps. First, the pictures are decoded in the order of their listing into a partial file, a block
at a time, by several processes; each finished block is noted with its SHA-256, so a preparation that is killed goes on
where it was. Then the good ones are copied into the order of training, validation and test.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pie_cli.data.base import Preprocessing
from pie_cli.data.own.decoding import BLOCK, Block, Plan, Source, Unfinished, decode
from pie_cli.data.own.listing import PARTS, Listing, Part
from pie_cli.data.own.pictures import Unreadable, fit, noticed
from pie_cli.data.own.splits import split
from pie_cli.errors import FolderError, PIEError
from pie_cli.io.files import read_sealed, write_atomically, write_sealed
from pie_cli.io.locks import lock
from pie_cli.io.text import FEW, few

FORMAT = 1  # of prepared files; others are made again
STALE_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Prepared:
    """What is known of a prepared file, beside which it lies.

    Arguments:
        shape: (C, H, W).
        counts: how many images each part has; they follow one another in the order of `PARTS`.
        classes: the names of the labels, which follow the images as int64; None without labels.
        drawn: the parts that were drawn from the training images.
        left_out: how many pictures could not be read, and `bad` is what to say of the first ones.
        notes: what to tell the user of the pictures.
        sha256: of the images and labels, in their parts.
        written: size and time of the file.
    """

    shape: tuple[int, int, int]
    counts: dict[Part, int]
    classes: tuple[str, ...] | None
    drawn: tuple[Part, ...]
    left_out: int
    bad: list[str]
    notes: list[str]
    sha256: str
    written: tuple[int, int]

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """Return what was stored as JSON, which has no tuples."""
        tuples = {name: tuple(stored[name]) for name in ("shape", "drawn", "written")}
        return cls(**stored | tuples | {"classes": None if stored["classes"] is None else tuple(stored["classes"])})


def prepare(
    source: Source,
    settings: Preprocessing,
    folder: Path,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> tuple[Path, Prepared]:
    """Return the prepared file of a source and what is known of it, made if it is not in `folder` yet.

    Of several processes at once, one makes it and the others wait. Raises PIEError if no picture can be read, they have
    different sizes, are too few, or there is no room; FolderError if `folder` cannot be written.
    """
    asked = json.dumps([FORMAT, type(source).__name__, source.fingerprint, asdict(settings)])
    path = folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.images"
    if (known := _known(path, report)) is None:
        with lock(folder / f".{path.stem}.lock", "another process is preparing these pictures; waiting for it", report):
            if (known := _known(path, report)) is None:  # still, now that no other process makes it
                known = _make(source, settings, path, report, progress)
    return path, known


def _known(path: Path, report: Callable[[str], None]) -> Prepared | None:
    """Return what is known of a prepared file; None if it is missing or damaged.

    Its bytes are read only if they may have changed: that takes seconds where images are many.
    """
    try:
        known = Prepared.of(read_sealed(path.with_suffix(".json"))["prepared"])
        if known.written != _written(path) and _sha256(path, known.counts) != known.sha256:
            raise ValueError("its content is another")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # whatever is wrong with it, it can be made again
        report(f"{path} is damaged ({error}): preparing the pictures again")
        return None
    return known


def _make(
    source: Source,
    settings: Preprocessing,
    path: Path,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Prepared:
    """Make a prepared file; what stands beside it is written last."""
    listing, partial = source.listing, path.with_suffix(".partial")
    plan = Plan(source, settings, _first_shape(source, settings), partial)
    _remove_stale(path)
    size = len(listing.names) * prod(plan.shape)
    channels, height, width = plan.shape
    report(f"preparing {len(listing.names):,} pictures as {channels}×{height}×{width}: {size / 1e6:,.0f} MB in {path}")
    if 2 * size > (free := shutil.disk_usage(path.parent).free):
        raise FolderError(f"{path.parent} has {free / 1e6:,.0f} MB free and needs {2 * size / 1e6:,.0f}; ")
    blocks: list[Block] = []
    try:
        blocks = decode(plan, progress)
        known = _arrange(listing, plan, blocks, path)
    except (FolderError, Unfinished):  # with more room, it goes on from here
        raise
    except PIEError as error:  # it would be the same the next time
        _remove(partial)
        if bad := {index: reason for block in blocks for index, reason in block.bad}:  # perhaps the reason for it
            said = few(_complaints(listing, bad))
            raise PIEError(f"{error}; and {len(bad):,} pictures cannot be read: {said}") from error
        raise
    write_sealed(path.with_suffix(".json"), {"prepared": asdict(known)})
    _remove(partial)
    return known


def _arrange(listing: Listing, plan: Plan, blocks: Sequence[Block], path: Path) -> Prepared:
    """Copy the good pictures into the order of the parts, with their labels behind them."""
    bad = {index: reason for block in blocks for index, reason in block.bad}
    _check_sizes(listing, plan, blocks)
    good = np.array([index for index in range(len(listing.names)) if index not in bad], np.int64)
    parts, drawn = split(listing, good)
    counts: dict[Part, int] = {part: len(parts[part]) for part in PARTS}
    digest = _digest(counts)
    coloured = any(block.coloured for block in blocks)
    shape = (3 if coloured else 1, *plan.shape[1:])
    order = np.concatenate([parts[part] for part in PARTS])
    write_atomically(path, lambda temporary: _write(temporary, _contents(listing, plan, order, shape[0]), digest))
    notes = noticed(sum(block.transparent for block in blocks), sum(block.animated for block in blocks))
    said = _complaints(listing, dict(list(bad.items())[:FEW]))
    sha256 = digest.hexdigest()
    return Prepared(shape, counts, listing.classes, drawn, len(bad), said, notes, sha256, _written(path))


def _contents(listing: Listing, plan: Plan, order: NDArray[np.int64], channels: int) -> Iterator[memoryview]:
    """Yield what a prepared file holds: the first channels of the pictures in this order, a block at a time; labels."""
    with open(plan.partial, "rb", buffering=0) as decoded:
        for first in range(0, len(order), BLOCK):
            chosen = order[first : first + BLOCK].tolist()
            rows = np.empty((len(chosen), *plan.shape), np.uint8)
            for row, index in zip(rows, chosen, strict=True):
                decoded.seek(index * row.nbytes)
                row[:] = np.frombuffer(decoded.read(row.nbytes), np.uint8).reshape(row.shape)
            yield np.ascontiguousarray(rows[:, :channels]).data
    if listing.labels is not None:
        yield np.array(listing.labels, "<i8")[order].data


def _write(path: Path, contents: Iterable[memoryview], digest: hashlib._Hash) -> None:
    """Write contents one after the other, and take them into the digest in a thread beside, which is as much work."""
    with open(path, "wb") as file, ThreadPoolExecutor(1) as beside:
        hashed: Future[None] | None = None
        for content in contents:
            file.write(content)
            if hashed is not None:
                hashed.result()  # at most one block waits, so that memory does not grow
            hashed = beside.submit(digest.update, content)


def _check_sizes(listing: Listing, plan: Plan, blocks: Sequence[Block]) -> None:
    """Raise PIEError if pictures have another size than the first one."""
    if others := [of for block in blocks for of in block.sizes]:
        _, height, width = plan.shape
        shown = few([f"{listing.names[index]} {w}×{h}" for index, w, h in others])
        raise PIEError(
            f"pictures differ in size: the first is {width}×{height}, but {shown}; choose one with `image_size`"
        )


def _complaints(listing: Listing, bad: Mapping[int, str]) -> list[str]:
    return [f"{listing.names[index]} ({reason})" for index, reason in bad.items()]


def _first_shape(source: Source, settings: Preprocessing) -> tuple[int, int, int]:
    """Return (C, H, W) of the first picture that can be read. Raises PIEError if there is none."""
    bad = dict[int, str]()
    for index in range(len(source.listing.names)):
        try:
            channels, height, width = fit(source.picture(index)[0], settings).shape
            return channels, height, width
        except Unreadable as error:
            bad[index] = str(error)
    said = few(_complaints(source.listing, bad))
    raise PIEError(f"no picture in {source.path} can be read: {said}; repair them, or name other pictures")


def _written(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _digest(counts: Mapping[Part, int]) -> hashlib._Hash:
    """Return the beginning of a prepared file's SHA-256, which says how its images are split, too."""
    return hashlib.sha256(json.dumps([counts[part] for part in PARTS]).encode())


def _sha256(path: Path, counts: Mapping[Part, int]) -> str:
    """Return the SHA-256 of a prepared file."""
    digest = _digest(counts)
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _remove(partial: Path) -> None:
    """Remove a partial file and its notes."""
    for path in (partial, partial.with_suffix(".progress")):
        path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove what killed preparations have left: half-written copies of this file, whose lock is held; and of others,
    copies and partial files that nobody has gone on with for a week."""
    for left in [*path.parent.glob("*.partial"), *path.parent.glob(".*.images"), *path.parent.glob(".*.json")]:
        with suppress(OSError):  # another process may be doing the same
            if left.name.startswith(f".{path.stem}.") or time.time() - left.stat().st_mtime > STALE_SECONDS:
                _remove(left)
