"""The three parts of a set of one's own: those that are there, and those that have to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pie_cli.data.own.listing import PARTS, Listing, Part
from pie_cli.errors import PIEError
from pie_cli.io.text import few

SHARE = 0.05  # of the training images, for each part that is not there
SEED = 0

Indices = NDArray[np.int64]


def split(listing: Listing, good: Indices) -> tuple[dict[Part, Indices], tuple[Part, ...]]:
    """Return which of the `good` pictures are in each part, in the order in which they are stored; and what was drawn.

    A part that is not there gets `SHARE` of each class of the training images, and one at least. Each part is shuffled
    by a seed, since figures show its first images and folders are in the order of the classes. The same pictures give
    the same parts, wherever they lie. Raises PIEError if there are too few.
    """
    random = np.random.RandomState(SEED)  # the parts must stay the same for ever, and only this generator promises it
    given = np.array([PARTS.index(listing.parts[i]) for i in good] if listing.parts else np.zeros(len(good)), np.int64)
    found = {part: random.permutation(good[given == number]) for number, part in enumerate(PARTS)}
    drawn = tuple(part for part in PARTS[1:] if not len(found[part]))
    classes = np.array(listing.labels)[found["train"]] if listing.labels else np.zeros(len(found["train"]), np.int64)
    _check_counts(listing, classes, len(drawn) + 1)
    taken = np.zeros(len(classes), bool)
    for part in drawn:
        chosen = []
        for label in np.unique(classes):
            left = np.flatnonzero((classes == label) & ~taken)
            chosen.append(left[: max(1, round(SHARE * (classes == label).sum()))])
        positions = random.permutation(np.concatenate(chosen))
        taken[positions] = True
        found[part] = found["train"][positions]
    found["train"] = found["train"][~taken]
    return found, drawn


def _check_counts(listing: Listing, labels: Sequence[int] | Indices, needed: int) -> None:
    """Raise PIEError unless each class has as many training pictures as there are parts to be drawn from them."""
    if not len(labels):
        raise PIEError("there is no training picture; put some into train")
    if listing.classes is None:
        if len(labels) < needed:
            raise PIEError(f"{len(labels)} pictures are too few for training, validation and test; add some")
        return
    counts = np.bincount(labels, minlength=len(listing.classes))
    if short := [f"{name} ({count})" for name, count in zip(listing.classes, counts, strict=True) if count < needed]:
        parts = "training, validation and test" if needed == 3 else "the parts of the set"
        raise PIEError(f"these classes have fewer than {needed} pictures, too few for {parts}: {few(short)}; add some")
