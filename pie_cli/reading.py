"""Files that are not trusted: read whole, but only regular ones of a bounded size, and JSON of one meaning only."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

LARGEST_JSON = 2**24  # bytes; what the program writes has some kilobytes


def read_bytes(path: Path, largest: int) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: if it is missing or cannot be read.
        ValueError: if it is a directory, a pipe or a device, or larger than `largest` bytes.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device would never end
        raise ValueError("it is no regular file")
    if status.st_size > largest:
        raise ValueError(f"it has {status.st_size:,} bytes, and no such file has more than {largest:,}")
    try:
        return path.read_bytes()
    except MemoryError:
        raise ValueError(f"its {status.st_size:,} bytes do not fit into memory") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises OSError and ValueError as `read_bytes` and `parse_json` do."""
    return parse_json(read_bytes(path, LARGEST_JSON).decode("utf-8"))


def parse_json(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`.

    Raises:
        ValueError: if it is no JSON, no object, nested too deeply, or gives a key twice (which one counts?).
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("it gives a key twice")
    return value
