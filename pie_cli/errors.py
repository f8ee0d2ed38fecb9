"""The one kind of error for what a user can mend.

A message says what is wrong and what to do. Where that is to change a setting, the message has the setting's name in
backticks (`batch_size`): the command line shows it as its option.
"""

import re
from pathlib import Path
from typing import Any


class PIEError(Exception):
    """Something failed that the user can mend (exit code 1)."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it pass from one process to another with all that it says."""
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
    """A folder cannot be written or locked: the advice is to choose another one, by the setting of that name."""

    def __init__(self, message: str, setting: str = "results_dir") -> None:
        super().__init__(f"{message}choose another folder")
        self.setting = setting


class UnusableRun(PIEError):
    """A file of a run is missing, damaged or not what is wanted: only training again replaces it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{problem}; put a good copy in its place, or remove it and train again")
        self.path, self.problem = path, problem


class Interrupted(BaseException):
    """The process was asked to stop by a signal (exit code 128 + signal number, as shells expect).

    Like KeyboardInterrupt it is no `Exception`, so that no code in between takes it for a failure that it can survive.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


def mendable(error: BaseException) -> PIEError | None:
    """Return what a user can mend of what the system refused, a file or memory; None for a fault of the program."""
    if isinstance(error, PIEError):
        return error
    if isinstance(error, OSError):
        what = f"cannot use {error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        return PIEError(f"{what}; mend that or choose another folder")
    # PyTorch has an exception of its own for a GPU's memory, and for the machine's only a RuntimeError.
    if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)):
        return PIEError("out of memory; use a smaller `batch_size`, smaller networks or a smaller `count`")
    return None
