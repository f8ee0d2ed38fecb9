"""Text that comes from outside, such as a path or a command, made safe for where it is shown."""

import html
import re
from collections.abc import Sequence


def one_line(text: str) -> str:
    """Return text with line breaks, control characters and bytes that are not characters written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def characters(text: str) -> str:
    """Return text with the bytes of a path that are not characters written as escapes."""
    return text.encode(errors="backslashreplace").decode()


LONGEST = 80  # bytes of a name in that of a file: two, and the rest, stay below the 255 of file systems


def file_name(text: str) -> str:
    """Return a text as part of a file's name: without what some file system refuses, and not too long."""
    safe = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "-", text.encode(errors="replace").decode())
    return safe.encode()[:LONGEST].decode(errors="ignore")


def markdown_text(text: str) -> str:
    """Return text that Markdown and HTML show as it is, on one line: no markup, no tags, no new table cell."""
    # Not every Markdown accepts a backslash before <, but every one accepts an entity.
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(one_line(text), quote=False))


def number(value: float) -> str:
    """Return the shortest text that reads back as this number: 0.01, 1, 0.010000001."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: 0.8 seconds, 12.3 minutes."""
    return f"{seconds:.1f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"


FEW = 5  # names that a message has


def few(names: Sequence[str], count: int | None = None) -> str:
    """Return the first names in a list, and how many more there are of `count`, or of the names given."""
    more = (len(names) if count is None else count) - FEW
    return ", ".join(names[:FEW]) + (f" and {more:,} more" if more > 0 else "")
