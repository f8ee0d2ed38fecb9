"""How much of the images fits into a number of bytes."""

from __future__ import annotations

import numpy as np

from pie_cli.codec.compress import compress
from pie_cli.codec.container import Container, Kind
from pie_cli.codec.levels import FINEST
from pie_cli.codec.pixels import Pixels
from pie_cli.codec.tables import Tables
from pie_cli.errors import UsageError
from pie_cli.models.pie import PIE

TRIED = 500  # images on which the choice is made


def compress_into(
    model: PIE, images: Pixels, bytes_per_image: float, *, names: tuple[str, ...], kind: Kind, tables: Tables
) -> bytes:
    """Return a compressed file of at most so many bytes an image, its header included, with the least error.

    It is lossless if that fits. Raises UsageError if not even the coarsest z does.
    """
    budget = bytes_per_image * len(images)
    smallest = 0
    for keep, fineness, lossless in _choices(model, images, bytes_per_image, tables):
        options = {"fineness": fineness, "names": names, "kind": kind, "tables": tables}
        content = compress(model, images, keep, lossless, **options)  # type: ignore[arg-type]
        if len(content) <= budget:
            return content
        smallest = len(content)
    raise UsageError(f"`bytes_per_image` {bytes_per_image:g} is too little: these need {smallest / len(images):,.1f}")


def _choices(model: PIE, images: Pixels, budget: float, tables: Tables) -> list[tuple[int, int, bool]]:
    """Return (keep, fineness, lossless) of what could fit, the least error first; z alone, the smallest, comes last."""
    some = images[np.linspace(0, len(images) - 1, min(TRIED, len(images))).astype(int)]
    share = budget * len(some) * 1.1  # a sample may need less than the whole
    found = list[tuple[float, int, int, bool]]()
    for fineness in range(FINEST + 1):
        layers = Container.parse(compress(model, some, None, False, fineness=fineness, tables=tables)).header.layers
        lengths = np.cumsum([layer.length for layer in layers])
        found += [(one.mse, keep, fineness, False) for keep, one in enumerate(layers) if lengths[keep] <= share]
    if len(compress(model, some, 0, True, tables=tables)) <= share:
        found.append((0.0, 0, 0, True))
    return [choice for _, *choice in sorted(found)] + [(0, 0, False)]  # type: ignore[return-value]
