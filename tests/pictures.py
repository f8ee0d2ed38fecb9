"""Pictures of one's own, written for a test."""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource, Preprocessing


def picture(seed: int, width: int = 12, height: int = 8) -> Image.Image:
    """Return a picture of noise in colour."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def write_folder(folder: Path, counts: dict[str, int], **size: int) -> Path:
    """Write so many pictures into each folder of `counts`; return the folder."""
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(1000 * number + i, **size).save(folder / name / f"{i:04}.png")
    return folder


def good(folder: Path) -> Path:
    return write_folder(folder, {"a": 20, "b": 20}, width=8, height=8)


def zipped(change: Callable[[zipfile.ZipFile], object]) -> Callable[[Path], Path]:
    """Return a function that packs a good folder and changes the archive."""

    def make(place: Path) -> Path:
        shutil.make_archive(str(place / "set"), "zip", good(place / "packed"))
        with zipfile.ZipFile(place / "set.zip", "a") as archive:
            change(archive)
        return place / "set.zip"

    return make


def huge_png() -> bytes:
    """Return a small file that claims to be a picture of 60,000×60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def load(path: Path, cache: Path, skip_unreadable: bool = False, **settings: Any) -> tuple[Dataset, list[str]]:
    """Return the images at a path, and the lines that a user gets."""
    lines: list[str] = []
    source = ImageSource(str(path), cache, True, Preprocessing(**settings), skip_unreadable)
    return source.load(lines.append), lines
