"""Dataclasses from JSON: all fields, each of its type, nothing converted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

LONGEST = 100  # values in a list; none of the program's has so many


def build(kind: type[Any], values: dict[str, Any]) -> Any:
    """Return a `kind` of all its fields, JSON's lists as tuples.

    Raises:
        ValueError: if a field is missing, unknown, of another type, or refused by `kind`.
    """
    if set(values) != {field.name for field in fields(kind)}:
        raise ValueError(f"its fields are not those of a {kind.__name__}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    hints = get_type_hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} has a value of another type: {str(value)[:40]!r}")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of an annotated type; True is no number here, and 1 may stand for 1.0."""
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in arguments
    if get_origin(hint) is tuple:
        kinds = arguments[:1] * len(value) if isinstance(value, tuple) and ... in arguments else arguments
        return isinstance(value, tuple) and len(value) == len(kinds) <= LONGEST and all(map(_fits, value, kinds))
    if arguments:  # a union
        return any(_fits(value, argument) for argument in arguments)
    return type(value) in ((int, float) if hint is float else (hint,))
