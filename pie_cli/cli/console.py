"""What the command line prints: progress and results on stdout, an error as one line on stderr."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import typer
from rich.console import Console

from pie_cli.config.naming import option_of
from pie_cli.errors import FolderError, Interrupted, PIEError, UnusableRun, mendable
from pie_cli.io.text import one_line

# Paths are printed as they are: nothing in them is read as markup or as the name of an emoji.
out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


# The name must be a word of its own: inside a longer word, it is part of a path.
_NAMED = re.compile(r"(?<![^\s(])`([a-z][a-z0-9_]*)`(?![^\s,;:.)])")


def in_options(message: str) -> str:
    """Return a message with each setting in backticks written as an option: "`batch_size`" becomes "--batch-size".

    Text that the user has typed, such as the name of a folder, stays as it is.
    """
    typed = "\n".join(sys.argv)
    return _NAMED.sub(lambda found: found[0] if found[0] in typed else option_of(found[1]), message)


def say(line: str) -> None:
    """Print a line, with the settings that it names written as options."""
    out.print(in_options(line))


@contextmanager
def speaking_options() -> Iterator[None]:
    """Make errors that leave the block name options instead of settings, and add the option that fixes them."""
    try:
        yield
    except (PIEError, Interrupted) as error:
        advice = " with --overwrite" if isinstance(error, UnusableRun) else ""
        if isinstance(error, FolderError):
            advice = f" with {option_of(error.setting)}"
        error.args = (in_options(str(error)) + advice,)
        raise


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """End the program with one line on stderr and an exit code if the block fails in a way that the user can fix."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the encoding may lack ε, or a byte of a path
            stream.reconfigure(errors="backslashreplace")
    try:
        with speaking_options():
            yield
        sys.stdout.flush()
    except typer.TyperException as error:
        _fail(_complaint(error), error.exit_code)
    except Interrupted as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        if (failure := mendable(error)) is None:
            raise
        _fail(in_options(str(failure)), failure.exit_code)


def _complaint(error: typer.TyperException) -> str:
    """Return Typer's message with the value that it rejects, which the library that checks values leaves out."""
    message = error.format_message().replace("Value error, ", "").replace("Input should", "it must")
    message = message.partition(", unable to parse")[0]
    details: list[dict[str, object]] = getattr(error.__cause__, "errors", list)()
    value = repr(details[0]["input"]) if details else ""
    return message if value in message else f"{message}, got {value}"


def _fail(message: str, code: int) -> None:
    if message:  # it is empty if Typer has shown the help instead
        print(f"error: {one_line(message)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # Python could not write the rest at exit either, so it is dropped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
