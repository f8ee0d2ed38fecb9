"""Images of one's own, from a path to a data set."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_cli.data.base import DATASETS, DataConfig, Dataset, ImageSet, Preprocessing
from pie_cli.data.own.arrays import Arrays
from pie_cli.data.own.decoding import Source
from pie_cli.data.own.listing import PARTS
from pie_cli.data.own.places import Folder, Zip
from pie_cli.data.own.prepared import Prepared, prepare
from pie_cli.errors import PIEError, UsageError, advising
from pie_cli.io.text import few, file_name

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "prepared"  # in the cache: prepared files, which can be removed at any time
KINDS: dict[str, Callable[[Path, Callable[[str], None]], Source]] = {".zip": Zip, ".npz": Arrays, ".npy": Arrays}


def load_own(
    path: Path,
    cache: Path,
    settings: Preprocessing,
    skip_unreadable: bool,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Dataset:
    """Return the images at a path: of a folder, a .zip, an .npz or an .npy, prepared in `cache` where they are not yet.

    `report` gets lines for the user, and `progress` how many of how many pictures are prepared. Raises UsageError for
    another kind of file, PIEError if files cannot be read (unless they are to be skipped) or mean nothing clear.
    """
    path = path.resolve()
    source = _source(path, report)
    with advising("data_dir"):
        file, known = prepare(source, settings, cache / FOLDER, report, progress)
    total = sum(known.counts.values()) + known.left_out
    if known.left_out and not skip_unreadable:
        raise PIEError(
            f"{known.left_out:,} of {total:,} pictures in {path} cannot be read: {few(known.bad, known.left_out)}; "
            "repair or remove them, or leave them out with `skip_unreadable`"
        )
    for note in [*known.notes, *[f"{known.left_out:,} of {total:,} pictures are left out"] * (known.left_out > 0)]:
        report(f"{path}: {note}")
    facts: dict[str, Any] = {
        "classes": known.classes,
        "drawn": known.drawn,
        "left_out": known.left_out,
        "sha256": known.sha256,
    }
    config = DataConfig(**asdict(settings), **facts)
    kinds = "" if known.classes is None else f", {len(known.classes)} classes"
    shown = f"{path} ({total - known.left_out:,} images of {'×'.join(map(str, known.shape))}{kinds})"
    train, validation, test = _sets(file, known)
    return Dataset(_name(path), shown, train, validation, test, known.classes, config, path)


def _source(path: Path, report: Callable[[str], None]) -> Source:
    """Return what reads the pictures at a path."""
    if path.is_dir():
        return Folder(path, report)
    if (kind := KINDS.get(path.suffix.lower())) is None:
        raise UsageError(f"{path} is neither a folder nor a file of {few(list(KINDS))}")
    if path.exists() and not path.is_file():  # opening a pipe could block
        raise UsageError(f"{path} is not a regular file; give a folder or a file of {few(list(KINDS))}")
    return kind(path, report)


def _name(path: Path) -> str:
    """Return what images at a path are called, which is part of a folder's name."""
    name = file_name(path.stem if path.suffix.lower() in KINDS and not path.is_dir() else path.name)
    return f"own-{name}" if name in DATASETS or not name else name


def _sets(file: Path, known: Prepared) -> list[ImageSet]:
    """Return the three parts of a prepared file, mapped into memory.

    The map is private: torch wants memory that may be written, and what would be written stays in this process.
    """
    import torch

    with open(file, "rb") as opened:
        memory = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
    total, size = sum(known.counts.values()), prod(known.shape)
    images = torch.frombuffer(memory, dtype=torch.uint8, count=total * size).view(total, *known.shape)
    labels: Tensor | None = None
    if known.classes is not None:
        content = bytearray(memory[total * size :])  # a copy, since it need not begin where an int64 may
        labels = torch.frombuffer(content, dtype=torch.int64)

    def release() -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            memory.madvise(mmap.MADV_DONTNEED)

    whole, sets = ImageSet(images, labels, release), []
    start = 0
    for part in PARTS:
        sets.append(whole[start : (start := start + known.counts[part])])
    return sets
