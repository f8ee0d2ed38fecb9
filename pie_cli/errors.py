"""The one kind of error for what a user can mend; the command line prints its message on one line."""

from __future__ import annotations

import re


class PIEError(Exception):
    """Something failed that the user can mend; the message says what is wrong and what to do (exit code 1)."""

    exit_code = 1


class UsageError(PIEError):
    """An option or argument is wrong (exit code 2)."""

    exit_code = 2


class Interrupted(BaseException):
    """The process was asked to stop by a signal (exit code 128 + signal number, as shells expect).

    Like KeyboardInterrupt it is no `Exception`, so that no code in between takes it for a failure that it can survive.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


def in_users_terms(error: BaseException) -> PIEError | None:
    """Return what a user can mend of what the system refused, a file or memory; None for a fault of the program."""
    if isinstance(error, PIEError):
        return error
    if isinstance(error, OSError):
        what = f"cannot use {error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        return PIEError(f"{what}; mend that or choose another folder")
    # PyTorch has an exception of its own for a GPU's memory, and for the machine's only a RuntimeError.
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):
        return PIEError("out of memory; use a smaller --batch-size, smaller networks or a smaller --count")
    return None
