"""z and the residual levels as whole numbers of steps, and their entropy code.

What is coded is z, and r_l − g_l(z_l) of each level, which p(r | z) = N(g(z), ε₀²I) makes a variable of constant
parameters. Each number of a code has its own step: the smaller, the more the pixels move with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pie_cli.codec.coder import SYMBOLS, TOTAL, Decoder, Encoder, Frequencies, Symbols, uniform
from pie_cli.codec.pixels import Pixels
from pie_cli.codec.tables import CLASSES, Tables
from pie_cli.errors import UsageError
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.runtime import in_float32

FINEST = 4  # how often steps may be halved
CENTRE = 127  # the symbol that stands for zero
ESCAPE = SYMBOLS - 1  # a number that is too large for a symbol; its two bytes follow
LARGEST = 2**15 - 1

Values = NDArray[np.float32]


def pie_of(model: nn.Module) -> PIE:
    """Return the PIE that a model is, or that torch.compile was given. Raises UsageError if it is none."""
    found = getattr(model, "_orig_mod", model)
    if not isinstance(found, PIE):
        raise UsageError(f"a {type(found).__name__} keeps nothing but z; compressed files need a PIE")
    return found


def sizes_of(config: PIEConfig) -> list[int]:
    """Return how many numbers an image has in z and in each level, the nearest to z first."""
    return [config.latent_dim, *reversed(config.residual_sizes)]


@torch.no_grad()
def analyse(model: PIE, pixels: Pixels) -> list[Values]:
    """Return z (N, d) and the deviations (N, D_l) of each level, the nearest to z first."""
    device = next(model.parameters()).device
    with in_float32(device.type):
        z, residuals, _ = model(torch.from_numpy(pixels).to(device).float() / 255)
    return [one.float().cpu().numpy() for one in (z, *reversed(residuals))]


@torch.no_grad()
def synthesise(model: PIE, values: Sequence[Values]) -> NDArray[np.float64]:
    """Return the images (N, C, H, W) decoded from z and the first levels, in grey levels, not clipped."""
    weights = next(model.parameters())
    count, levels = len(values[0]), model.residual_sizes
    there = [torch.from_numpy(one).to(weights) for one in values]
    missing = [weights.new_zeros(count, size) for size in levels[: len(levels) + 1 - len(values)]]
    with in_float32(weights.device.type):
        images = model.decode(there[0], [*missing, *reversed(there[1:])], keep=len(values) - 1)
    return np.nan_to_num(255 * images.double().cpu().numpy(), nan=0.0, posinf=1e9, neginf=-1e9)


def as_pixels(decoded: NDArray[np.float64]) -> Pixels:
    """Return decoded images as they are shown."""
    return np.rint(decoded.clip(0, 255)).astype(np.uint8)


class Level:
    """z (number 0) or one of the levels, at one fineness: steps halved so often.

    Arguments:
        tables: of the model.
        sizes: as `sizes_of` returns them.
        number: which of them.
        fineness: 0 to `FINEST`.
    """

    def __init__(self, tables: Tables, sizes: Sequence[int], number: int, fineness: int) -> None:
        own = slice(sum(sizes[:number]), sum(sizes[: number + 1]))
        self.steps = tables["steps"][own] / np.float32(2**fineness)
        classes = tables.tensors["classes"].numpy()[own].astype(np.int64) + 4 * fineness
        self._classes = classes.clip(0, CLASSES - 1)
        self._frequencies = tables["frequencies"][min(number, 1)]

    def table(self, dimension: int) -> Frequencies:
        """Return the frequencies of one dimension's symbols."""
        found: Frequencies = self._frequencies[self._classes[dimension]]
        return found

    @property
    def least_bits(self) -> float:
        """How many bits an image takes at least: as if all its symbols were the most frequent ones."""
        peaks = self._frequencies[self._classes].max(1) + 1.0
        return float(np.log2(TOTAL / peaks).sum())

    def quantise(self, values: Values) -> Symbols:
        """Return the numbers of steps, (N, D)."""
        return whole_steps(values, self.steps)

    def restore(self, numbers: Symbols) -> Values:
        """Return the values (N, D) that numbers of steps stand for."""
        return numbers.astype(np.float32) * self.steps

    def encode(self, encoder: Encoder, numbers: Symbols) -> None:
        """Code the numbers of some images (N, D), dimension by dimension."""
        for dimension, column in enumerate(numbers.T):
            escaped = np.abs(column) > CENTRE
            encoder.put(np.where(escaped, ESCAPE, column + CENTRE), self.table(dimension))
            if escaped.any():
                rest = column[escaped] + 2**15
                encoder.put(rest >> 8, uniform(SYMBOLS))
                encoder.put(rest & 255, uniform(SYMBOLS))

    def decode(self, decoder: Decoder, count: int) -> Symbols:
        """Return the numbers of `count` images."""
        numbers = np.empty((count, len(self.steps)), np.int32)
        for dimension in range(len(self.steps)):
            column = decoder.take(self.table(dimension), count) - CENTRE
            escaped = column == ESCAPE - CENTRE
            if more := int(escaped.sum()):
                high = decoder.take(uniform(SYMBOLS), more)
                column[escaped] = (high << 8) + decoder.take(uniform(SYMBOLS), more) - 2**15
            numbers[:, dimension] = column
        return numbers


def whole_steps(values: Values, steps: NDArray[np.float32]) -> Symbols:
    """Return values (N, D) in whole numbers of steps, those that are not finite or too large as the nearest."""
    ratios = np.nan_to_num(values / steps, nan=0.0, posinf=LARGEST, neginf=-LARGEST)
    return np.rint(ratios.clip(-LARGEST, LARGEST)).astype(np.int32)
