"""Locks that keep other processes out, those of this machine and those of others that share the folder.

A lock is the kernel's (flock, by way of filelock) on an empty hidden file that stays where it is. The kernel frees the
locks of a process that dies, however it dies, so nothing is left to clean up and another process can take over.

Between machines, the file system that they share must carry flock to its server: NFS does on Linux, unless mounted with
nolock or local_lock; Lustre does if mounted with flock. A machine that vanishes keeps its locks until the server gives
them up. Elsewhere a lock keeps out the processes of one machine only. Where there is no flock at all, filelock refuses
or makes do with the existence of the file, depending on its version.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pie_cli.errors import FolderError, PIEError


class Held(PIEError):
    """Another process holds the lock."""


@contextmanager
def lock(path: Path, held: str, report: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock on the file `path` within the block; the process that holds it may enter again.

    Arguments:
        path: made, with its folder, where it is missing.
        held: what to say where another process holds it.
        report: is told so, and the lock is waited for; without it, that is an error.

    Raises:
        Held: if another process holds the lock and there is no `report`.
        FolderError: if the file cannot be made or the file system has no locks.
    """
    file_lock = FileLock(path, is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file_lock.acquire(timeout=0)
        except Timeout:
            if report is None:
                raise Held(held) from None
            report(held)
            file_lock.acquire()
        try:
            # NFS remembers for up to a minute which files a folder lacks; whoever writes there looks anew. So what the
            # last holder has done is seen by the next one, on whatever machine.
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=".").close()
        except OSError:
            file_lock.release()
            raise
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FolderError(f"cannot lock {path}: {reason}; ") from error
    try:
        yield
    finally:
        file_lock.release()
