"""The decoded image as every machine has it: in cells of eight grey levels, with a list of the doubtful ones.

Two machines decode images that differ in their last bits. Where a value lies so near to the boundary of two cells that
they could disagree, the file says which cell it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pie_cli.codec.coder import SYMBOLS, TOTAL, Damaged, Decoder, Encoder, uniform, whole_frequencies
from pie_cli.codec.levels import Values, synthesise
from pie_cli.codec.pixels import Pixels
from pie_cli.errors import PIEError
from pie_cli.models.pie import PIE

CELL = 8  # grey levels
MARGIN = 10  # how much nearer than measured differences a value must be to count as certain
LARGEST_WIDTH = CELL / 4  # grey levels within which a value may be doubtful
MEASURED = 64  # images that are decoded in float64 too

# Quotients of the gaps between doubtful values: each half as frequent as the one before.
_QUOTIENTS = whole_frequencies(0.5 ** np.arange(SYMBOLS, dtype=np.float64), TOTAL - SYMBOLS).astype(np.float32)

# Indices of doubtful values, and whether each is in the upper of its two cells.
Doubts = tuple[NDArray[np.int64], NDArray[np.bool_]]


def otherwise(model: PIE) -> PIE:
    """Return a model that rounds otherwise: on the CPU, in float64, or in float32 if the model itself is in float64."""
    other = copy.deepcopy(model).cpu().double()
    return other.float() if next(model.parameters()).dtype == torch.float64 else other


def doubt_width(model: PIE, other: PIE, values: Sequence[Values]) -> float:
    """Return how near to a boundary a decoded value is doubtful, in grey levels, by how another decodes some images.

    They range from those with the shortest code to those with the longest: blank images say nothing about others.
    """
    longest = np.argsort(sum(np.square(one).sum(1) for one in values))
    chosen = longest[np.linspace(0, len(longest) - 1, min(MEASURED, len(longest))).astype(int)]
    some = [one[chosen] for one in values]
    ours, others = (synthesise(one, some).clip(-CELL, 255 + CELL) for one in (model, other))
    difference = np.abs(ours - others).max(initial=1e-4)
    if difference > LARGEST_WIDTH:
        apart = f"float32 and float64 decode these images {difference:.2g} grey levels apart"
        raise PIEError(f"{apart}, so no other machine could make them exact; keep fewer levels with `keep`")
    return float(min(MARGIN * difference, LARGEST_WIDTH))


def doubts_in(decoded: NDArray[np.float64], width: float) -> Doubts:
    """Return the doubtful values of decoded images, in the order of their pixels."""
    flat = decoded.reshape(-1)
    boundary = _nearest_boundary(flat)
    indices = np.flatnonzero(np.abs(flat - boundary) < width)
    return indices, flat[indices] >= boundary[indices]


def cells(decoded: NDArray[np.float64], doubts: Doubts) -> Pixels:
    """Return the middle of the cell that each decoded value is in."""
    flat = decoded.reshape(-1)
    number = np.floor(flat.clip(0, 255) / CELL).astype(np.int64)
    indices, upper = doubts
    number[indices] = (_nearest_boundary(flat[indices]) // CELL).astype(np.int64) - 1 + upper
    return (CELL * number + CELL // 2).astype(np.uint8).reshape(decoded.shape)


def _nearest_boundary(values: NDArray[np.float64]) -> NDArray[np.float64]:
    nearest: NDArray[np.float64] = CELL * np.rint(values / CELL).clip(1, SYMBOLS // CELL - 1)
    return nearest


def encode_doubts(encoder: Encoder, doubts: Doubts, total: int) -> None:
    """Code the list of a group that has so many values: count, gaps in a Rice code, and the cells."""
    indices, upper = doubts
    gaps = np.diff(indices, prepend=-1) - 1
    bits = _rice_bits(len(indices), total)
    while len(gaps) and gaps.max() >> bits >= SYMBOLS:
        bits += 1
    encoder.put(np.frombuffer(np.array([len(indices)], "<u4").tobytes() + bytes([bits]), np.uint8), uniform(SYMBOLS))
    encoder.put(gaps >> bits, _QUOTIENTS)
    for shift in range(0, bits, 8):
        symbols = 2 ** min(8, bits - shift)
        encoder.put(gaps >> shift & (symbols - 1), uniform(symbols))
    encoder.put(upper, uniform(2))


def decode_doubts(decoder: Decoder, total: int) -> Doubts:
    """Return what `encode_doubts` has coded. Raises `Damaged` if it has coded nothing like it."""
    *head, bits = decoder.take(uniform(SYMBOLS), 5).tolist()
    count = int.from_bytes(bytes(head), "little")
    if count > total or bits > 32:
        raise Damaged("its list of doubtful pixels is impossible")
    gaps = decoder.take(_QUOTIENTS, count).astype(np.int64) << bits
    for shift in range(0, bits, 8):
        gaps |= decoder.take(uniform(2 ** min(8, bits - shift)), count).astype(np.int64) << shift
    upper = decoder.take(uniform(2), count).astype(bool)
    indices = np.cumsum(gaps + 1) - 1
    if count and indices[-1] >= total:
        raise Damaged("its list of doubtful pixels leads out of the images")
    return indices, upper


def _rice_bits(count: int, total: int) -> int:
    return (total // count).bit_length() - 1 if count else 0
