"""The one kind of error for what a user can mend; the command line prints its message on one line."""


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
