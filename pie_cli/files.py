"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pie_cli.errors import PIEError


def write_atomically(path: Path, write: Callable[[Path], object], folder_option: str = "--results-dir") -> None:
    """Have `write` make a temporary file beside `path`, flush it to disk and rename it to `path`.

    A reader sees the old file or the new one, never a part. The folder must be there: one that vanishes while a program
    works in it is not made anew with half of its files.
    `folder_option` is the command-line option that chooses the folder, for the error's advice.

    Raises:
        PIEError: if the operating system refuses (disk full, no permission, …); nothing is left behind.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; results are like any other file
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise PIEError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder "
            f"with {folder_option}"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, atomically.

    Libraries that write files themselves fail in ways of their own on a full disk, so they fill a buffer instead.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the platform lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
