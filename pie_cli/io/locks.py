"""Locks that keep out other processes, on this machine and on others that share the folder.

A lock is the kernel's (flock, through filelock) on an empty hidden file, which is never removed. The kernel frees the
locks of a process that dies, however it dies, so nothing is left to clean up and another process can take over.

Between machines, the file system that they share must carry flock to its server: NFS does on Linux, unless mounted with
nolock or local_lock; Lustre does if mounted with flock. A machine that vanishes keeps its locks until the server drops
them. On other file systems, a lock keeps out only the processes of one machine. Without flock, filelock refuses or
falls back on the existence of the file, depending on its version.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pie_cli.errors import FolderError, PIEError


class Held(PIEError):
    """Another process holds the lock."""


@contextmanager
def lock(path: Path, held: str, report: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock on the file `path`, which is made if missing; the process that holds it may enter again.

    If another process holds it, pass `held` to `report` and wait for the lock; without `report`, raise Held instead.
    Raises FolderError if the file or its folder cannot be made, or the file system has no locks.
    """
    file_lock = FileLock(path, is_singleton=True)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                file_lock.acquire(timeout=0)
            except Timeout:
                if report is None:
                    raise Held(held) from None
                report(held)
                file_lock.acquire()
            stack.callback(file_lock.release)
            # NFS remembers for up to a minute which files a folder lacks; a write there makes it look again. So the
            # next holder sees what the last one has done, on whatever machine.
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=".").close()
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FolderError(f"cannot lock {path}: {reason}; ") from error
        yield
