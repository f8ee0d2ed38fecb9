"""What the command line says: progress and results on stdout, and one line on stderr where something is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import typer
from rich.console import Console

from pie_cli.errors import Interrupted, in_users_terms
from pie_cli.text import one_line

# Paths are printed as they are: nothing in them is markup or the name of a picture.
out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """End the program where a user can mend what goes wrong in the block: with one line on stderr and the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an encoding may lack ε, or a byte of a path
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except typer.TyperException as error:
        _fail(_complaint(error), error.exit_code)
    except Interrupted as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        if (failure := in_users_terms(error)) is None:
            raise
        _fail(str(failure), failure.exit_code)


def _complaint(error: typer.TyperException) -> str:
    """Return typer's message with the value that it is about, which the library that checks values leaves out."""
    message = error.format_message().replace("Value error, ", "").replace("Input should", "it must")
    message = message.partition(", unable to parse")[0]
    details: list[dict[str, object]] = getattr(error.__cause__, "errors", list)()
    value = repr(details[0]["input"]) if details else ""
    return message if value in message else f"{message}, got {value}"


def _fail(message: str, code: int) -> None:
    if message:  # none where Typer has shown the help instead
        print(f"error: {one_line(message)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # nor can Python write at its end what is left, so it is dropped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
