"""Settings: each is one field of a dataclass, with its name, type, bounds, default and help.

Everything else about a setting follows from its field: its option on the command line, the check of its value, what a
configuration file may hold, the printed command and the differences between two runs.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Len

LARGEST_VARIANCE = 1e6  # of noise and residuals of images in [−1, 1]; larger ones make no sense, and floats overflow

S = TypeVar("S", bound="Settings")


@dataclass(frozen=True)
class Says:
    """What a value of a type must be, in the words of an error message: "must lie in [0, 1]"."""

    words: str


# The kinds of numbers that settings have. Infinity is refused as too large, and NaN by every bound.
Positive = Annotated[float, Gt(0), Le(1e300), Says("must be positive and finite")]
Weight = Annotated[float, Ge(0), Le(1e300), Says("must be finite and not negative")]
Share = Annotated[float, Ge(0), Le(1), Says("must lie in [0, 1]")]
Variance = Annotated[
    float, Gt(0), Le(LARGEST_VARIANCE), Says(f"is a variance and must be positive, at most {LARGEST_VARIANCE:g}")
]
Noise = Annotated[
    float, Ge(0), Le(LARGEST_VARIANCE), Says(f"is a variance and must lie between 0 and {LARGEST_VARIANCE:g}")
]
Seed = Annotated[int, Ge(0), Le(2**31 - 1), Says(f"must lie between 0 and {2**31 - 1}")]
Count = Annotated[int, Ge(1), Le(2**20)]  # a typo should fail, not fill the memory
Few = Annotated[int, Ge(1), Le(100)]
Dims = Annotated[tuple[Count, ...], Len(0, 100)]


def setting(default: Any, help: str, *, name: str | None = None, option: bool = True, **more: Any) -> Any:
    """Return the field of a setting.

    Arguments:
        default: its default value; None if that follows from other settings.
        help: what it is, for the docstring and the option.
        name: what a run folder's name calls it if it differs from the recipe's (None: by its own name; "": not at all).
        option: whether the command line has it.
        more: "default_text", what the help shows for a default of None; "flags", for a bool, the options for True and
            for False, of which one may be ""; "models", the only models that a setting of training applies to; "added",
            the value for older files, which lack the setting.
    """
    return field(default=default, metadata={"help": help, "name": name, "option": option, **more})


@dataclass(frozen=True)
class Settings:
    """A dataclass that checks its fields strictly when it is made: nothing is converted, but 1 may stand for 1.0.

    A wrong value raises ValueError, which names the field.
    """

    def __init_subclass__(cls) -> None:
        """Add the fields' help to the docstring."""
        helps = {name: value.metadata["help"] for name, value in vars(cls).items() if isinstance(value, Field)}
        lines = [f"        {name}: {help}" for name, help in helps.items()]
        cls.__doc__ = "\n".join([(cls.__doc__ or "").rstrip(), "", "    Arguments:", *lines])

    def __post_init__(self) -> None:
        for name, hint in hints_of(type(self)).items():
            object.__setattr__(self, name, check(name, hint, getattr(self, name)))  # it is frozen
        self.check_together()

    def check_together(self) -> None:
        """Raise ValueError, naming a field, if values that are valid alone do not go together."""


def check(name: str, hint: Any, value: Any) -> Any:
    """Return the value for a field, with a list as a tuple and a whole number as the float that it stands for.

    Raises ValueError, naming the field, if the value is of another type or out of bounds.
    """
    from pydantic import ValidationError  # costs a tenth of a second: `pie --help` makes no configuration

    try:
        return _checker(hint).validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError as error:
        details = error.errors()[0]
        raise ValueError(f"{name} {_complaint(hint, value, str(details['type']), details['msg'])}") from None


def _complaint(hint: Any, value: Any, kind: str, message: str) -> str:
    """Return what is wrong with a value, in one line."""
    shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}…"
    if choices := choices_of(hint):
        return f"must be one of {', '.join(choices)}, got {shown}"
    if kind.endswith(("_type", "_parsing")) or "tuple" in kind or "int_from" in kind:
        return f"has a value of another type: {shown}"
    for says in _metadata(hint):
        if isinstance(says, Says):
            return f"{says.words}, got {shown}"
    low, high = bounds_of(hint)
    if low is not None and high is not None:
        return f"must lie between {low} and {high}, got {shown}"
    return f"{message.replace('Input should', 'must')}, got {shown}"


@cache
def _checker(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(strict=True))


def hints_of(kind: type[Settings]) -> dict[str, Any]:
    """Return the fields' types by name, with their bounds."""
    return get_type_hints(kind, include_extras=True)


def _metadata(hint: Any) -> list[Any]:
    """Return the metadata beside the type in Annotated, also inside "… | None"."""
    if get_origin(hint) is Annotated:
        return list(hint.__metadata__)
    return [found for part in get_args(hint) for found in _metadata(part)] if get_origin(hint) is not tuple else []


def plain_type(hint: Any) -> Any:
    """Return a type without bounds, and without "| None"."""
    if get_origin(hint) is Annotated:
        return plain_type(hint.__origin__)
    parts = [part for part in get_args(hint) if part is not type(None)]
    if type(None) in get_args(hint) and len(parts) == 1:
        return plain_type(parts[0])
    return hint


def choices_of(hint: Any) -> tuple[str, ...]:
    """Return the values of a Literal; none for another type."""
    plain = plain_type(hint)
    return get_args(plain) if get_origin(plain) is Literal else ()


def bounds_of(hint: Any) -> tuple[Any, Any]:
    """Return the least and the greatest value of a number; None where it has no bound."""
    found = _metadata(hint)
    low = next((one.ge for one in found if isinstance(one, Ge)), None)
    return low, next((one.le for one in found if isinstance(one, Le)), None)


def speaks(hint: Any) -> bool:
    """Return whether a type has its own words for what a value must be."""
    return any(isinstance(one, Says) for one in _metadata(hint))


def build(kind: type[S], values: Mapping[str, Any]) -> S:
    """Return a `kind` from all its values by name, as a file holds them, with lists for tuples.

    Raises ValueError if a field is missing, unknown, of another type, or refused by `kind`.
    """
    values = {one.name: one.metadata["added"] for one in fields(kind) if "added" in one.metadata} | dict(values)
    if values.keys() != {one.name for one in fields(kind)}:
        raise ValueError(f"its fields are not those of a {kind.__name__}")
    return kind(**values)
