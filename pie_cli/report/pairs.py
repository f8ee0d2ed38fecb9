"""Which test images an interpolation joins: by their classes, by their numbers, or as they come."""

import unicodedata

from pie_cli.constants import INTERPOLATIONS
from pie_cli.data.base import Dataset
from pie_cli.errors import UsageError
from pie_cli.io.text import file_name
from pie_cli.plots.figures import kind_of, kinds_of

Named = tuple[str | None, str | None]
Pair = tuple[int | None, int | None]

LISTED = 10  # classes that a message names


def check_pair(rows: int | None, classes: Named, indices: Pair) -> None:
    """Raise UsageError if a pair of images is half given, given twice, or given with a number of rows."""
    pairs = [pair for pair in (classes, indices) if pair != (None, None)]
    if len(pairs) > 1 or any(None in pair for pair in pairs):
        raise UsageError("give `from` and `to` (classes), or `from_index` and `to_index`, or neither")
    if pairs and rows is not None:
        raise UsageError("`rows` shows several pairs of images; leave it out, or name none")


def choose_pairs(
    dataset: Dataset, rows: int | None, classes: Named, indices: Pair
) -> tuple[list[tuple[int, int]], str]:
    """Return pairs of indices of test images, and the name of the figure that shows them.

    One pair if `classes` (the first image of each) or `indices` are given, else `rows` pairs (0, 1), (2, 3), …, which
    are not chosen for their looks. `check_pair` must have accepted them. Raises UsageError if a class is unknown or has
    no image.
    """
    first, last = indices
    if first is not None and last is not None:
        return [(first, last)], f"interpolation_{first}_{last}"
    start, end = classes
    if start is not None and end is not None:
        return _between(dataset, start, end)
    rows = rows or min(INTERPOLATIONS, max(1, len(dataset.test) // 2))
    return [(2 * row, 2 * row + 1) for row in range(rows)], f"interpolations_{rows}"


def _between(dataset: Dataset, start: str, end: str) -> tuple[list[tuple[int, int]], str]:
    """Return the pair that joins two classes, given by name, and the name of its figure."""
    labels, names = dataset.test.labels, dataset.classes
    if labels is None or names is None:
        raise UsageError("these images have no classes for `from` and `to`; give `from_index` and `to_index`")
    chosen = [find_class(option, typed, names) for option, typed in (("from", start), ("to", end))]
    found = [labels.eq(label).nonzero().flatten().tolist() for label in chosen]
    kind = kind_of(names)
    for label, places in zip(chosen, found, strict=True):
        if not places:
            raise UsageError(f"the test set has no image of the {kind} {names[label]}")
    a, b = (file_name(names[label]) for label in chosen)
    # If both classes are the same, take its first and its last image.
    pair = found[0][0], found[1][-1 if chosen[0] == chosen[1] else 0]
    return [pair], f"interpolation_{kinds_of(names)}_{a}_{b}"


def find_class(option: str, typed: str, names: tuple[str, ...]) -> int:
    """Return the label of a class by its name, whose case matters only where two names differ in nothing else.

    Raises UsageError, which lists classes, if there is no such class or more than one.
    """
    typed = unicodedata.normalize("NFC", typed)  # some systems write é in files' names as two characters
    written = [unicodedata.normalize("NFC", name) for name in names]
    exact = [label for label, name in enumerate(written) if name == typed]
    found = exact or [label for label, name in enumerate(written) if name.casefold() == typed.casefold()]
    if len(found) == 1:
        return found[0]
    listed = ", ".join([*names[:LISTED], *(["…"] if len(names) > LISTED else [])])
    raise UsageError(f"`{option}`: {typed!r} is not one of the classes {listed}")
