"""Writing files whole or not at all, and reading files that are not trusted: of bounded size and one meaning only."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pie_cli.errors import FolderError, UsageError

LARGEST_JSON = 2**24  # bytes; the program's own files have a few kilobytes


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a temporary file beside `path`; flush that to disk and rename it to `path`.

    A reader sees the old file or the new one, never a part. The folder must exist: if it vanishes while the program
    works in it, it is not made again with half of its files. Raises FolderError if the operating system refuses (disk
    full, no permission, …); nothing is left behind.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.chmod(_usual(0o666))
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_vacant(folder: Path, setting: str, remedy: str = "choose another one with") -> None:
    """Raise UsageError unless `write_folder` can put a folder here, which `setting` chose: it is missing or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; {remedy} `{setting}`")
    if folder.exists() and (folder.is_symlink() or os.path.ismount(folder) or folder.samefile(Path())):
        raise UsageError(f"{folder} cannot be replaced as a whole; choose a new folder inside it with `{setting}`")


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary folder beside `folder`, which is missing or empty; rename it when it is whole.

    Raises FolderError if the operating system refuses; nothing is left behind.
    """
    temporary: Path | None = None
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        write(temporary)
        temporary.chmod(_usual(0o777))
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):  # it is not empty, if all has gone well
                parent.rmdir()


def _refused(path: Path, error: OSError) -> FolderError:
    """Return the error for a file or folder that the operating system refuses to write."""
    remedy = "free some space or " if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return FolderError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def _usual(mode: int) -> int:
    """Return the permissions that this process gives to new files: temporary ones are private, results are not."""
    os.umask(umask := os.umask(0))
    return mode & ~umask


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, atomically.

    On a full disk, libraries that write files themselves fail each in its own way, so they fill a buffer instead.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Return `value` as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A byte of a path that is no character becomes its escape, which JSON reads back.
    return text.encode(errors="backslashreplace")


def replace_text(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one. Raises OSError if that fails.

    Nothing is flushed to disk, so a machine that crashes may lose both: this is for what is written every second. Only
    one process may write the file.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, if the platform can open a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_bytes(path: Path, largest: int, beginning: bytes = b"") -> bytes:
    """Return a file's contents.

    Raises OSError if it cannot be read, ValueError if it is not regular or is larger. Of a file that does not start
    with `beginning`, only as many bytes are read and returned.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe could block, and a device may never end
        raise ValueError("it is not a regular file")
    if status.st_size > largest:
        raise ValueError(f"it has {status.st_size:,} bytes, and no such file has more than {largest:,}")
    try:
        with path.open("rb") as file:
            if (start := file.read(len(beginning))) != beginning:
                return start
            file.seek(0)
            return file.read()
    except MemoryError:
        raise ValueError(f"its {status.st_size:,} bytes do not fit into memory") from None


def stamp(status: os.stat_result) -> str:
    """Return what changes when a file's content does, even if its size and time of writing are kept or set back."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises OSError and ValueError as `read_bytes` and `parse_json` do."""
    return parse_json(read_bytes(path, LARGEST_JSON).decode("utf-8"))


def write_sealed(path: Path, stored: dict[str, Any]) -> None:
    """Write JSON with a SHA-256 over all that it says."""
    write_json(path, stored | {"sha256": hashlib.sha256(json.dumps(stored).encode()).hexdigest()})


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote. Raises an exception of some kind if it says anything else."""
    stored: dict[str, Any] = read_json(path)
    if stored.pop("sha256") != hashlib.sha256(json.dumps(stored).encode()).hexdigest():
        raise ValueError(f"{path} is damaged")
    return stored


def parse_json(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`. Raises ValueError if it is not one, is nested too deeply, or repeats a key."""
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("it gives a key twice")
    return value
