"""Errors that the user can fix.

A message says what is wrong and what to do. It names a setting in backticks (`batch_size`), and the command line shows
the option instead.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class PIEError(Exception):
    """Something failed that the user can fix (exit code 1).

    Example:
        >>> try:
        ...     raise PIEError("results/own is not empty; choose another folder")
        ... except PIEError as error:
        ...     print(error, error.exit_code)
        results/own is not empty; choose another folder 1
    """

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep all of the error's attributes when it passes from one process to another."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[PIEError], said: tuple[Any, ...], facts: dict[str, Any]) -> PIEError:
    error = kind.__new__(kind)
    error.args = said
    vars(error).update(facts)
    return error


class UsageError(PIEError):
    """A setting or argument is wrong (exit code 2)."""

    exit_code = 2


class FolderError(PIEError):
    """A folder cannot be written or locked; the advice is to choose another one, with `setting`."""

    def __init__(self, message: str, setting: str = "results_dir") -> None:
        super().__init__(f"{message}choose another folder")
        self.setting = setting


@contextmanager
def advising(setting: str) -> Iterator[None]:
    """Have a FolderError of the block advise `setting`: who writes a file does not know which one chose its folder."""
    try:
        yield
    except FolderError as error:
        error.setting = setting
        raise


class UnusableRun(PIEError):
    """A file of a run is missing, damaged or not the one wanted; without a good copy, only training replaces it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{problem}; put a good copy in its place, or remove it and train again")
        self.path, self.problem = path, problem


class Interrupted(BaseException):
    """The process was asked to stop by a signal (exit code 128 + signal number, as shells expect).

    Like KeyboardInterrupt, it is not an `Exception`, so no code in between handles it as an ordinary failure.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


def mendable(error: BaseException) -> PIEError | None:
    """Return the error in the form that a user can fix, if it is about a file or memory; None if it is a bug."""
    if isinstance(error, PIEError):
        return error
    if isinstance(error, OSError):
        what = f"cannot use {error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        return PIEError(f"{what}; fix that or choose another folder")
    # PyTorch raises its own exception when a GPU's memory is full, but a plain RuntimeError when the machine's is.
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):
        return PIEError("out of memory; use a smaller `batch_size`, smaller networks or a smaller `count`")
    return None
