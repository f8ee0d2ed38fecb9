"""Fitting the tables on training images: steps and frequencies of z and the levels, and the exact layer's network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_cli.codec.coder import SYMBOLS, TOTAL, whole_frequencies
from pie_cli.codec.compress import pixels_of
from pie_cli.codec.levels import CENTRE, ESCAPE, FINEST, Values, analyse, pie_of, whole_steps
from pie_cli.codec.network import fit_networks
from pie_cli.codec.pixels import Pixels
from pie_cli.codec.tables import CLASSES, STEEPNESS, Tables, weights_digest
from pie_cli.models.base import Autoencoder
from pie_cli.models.pie import PIE

STEPS = (0.7, 0.485)  # of z, of a level: how far one moves an image, as the root of the squares over all pixel values
PROBED = 64  # images on which that is measured
PROBE = 0.1  # by how much a number is changed for it
COUNTED = 20_000  # images whose symbols are counted
PRIOR = 20.0  # counts that a class of deviations has beforehand, spread as a Laplace distribution
LEAST_STEP, MOST_STEP = 1e-6, 1e6
_BATCH = 2**18  # pixel values that are decoded at a time


def fit_tables(
    model: Autoencoder,
    images: Tensor | Pixels,
    report: Callable[[str], object] = lambda line: None,
    training_steps: int | None = None,
) -> Tables:
    """Return the tables of a model, fitted on training images (N, C, H, W) of uint8.

    It takes some minutes. `report` gets lines for the user. The same images give the same tables on the same machine.
    `training_steps` are those of the exact layer's network; by default as many as pay.

    Raises ValueError for images of another shape or type, PIEError if the model is no PIE.
    """
    model = pie_of(model)
    pixels = torch.from_numpy(pixels_of(model, images))
    chosen = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))]
    report("measuring how far each number of the code moves the image")
    steps = _steps(model, chosen[:PROBED].numpy())
    report("counting the symbols of z and the levels")
    classes, frequencies = _levels(model, chosen[:COUNTED].numpy(), steps)
    exp = np.rint(2**11 * np.exp(-np.arange(STEEPNESS + 1) / 16)).astype(np.int16)
    exp[-1] = 0
    tensors = {
        "steps": torch.from_numpy(np.concatenate(steps)),
        "classes": torch.from_numpy(classes),
        "frequencies": torch.from_numpy(frequencies),
        "exp": torch.from_numpy(exp),
    }
    tensors |= fit_networks(model, chosen, steps, report, training_steps)
    return Tables(weights_digest(model), tensors).check(model.config)


def _batches(model: PIE, pixels: Pixels) -> list[Pixels]:
    return np.array_split(pixels, ceil(pixels.size / _BATCH))


@torch.no_grad()
def _steps(model: PIE, pixels: Pixels) -> list[Values]:
    """Return the steps of z and of each level: inversely as far as their numbers move the decoded images."""
    there = next(model.parameters())
    values = [torch.from_numpy(one).to(there) for one in analyse(model, pixels)]

    def decoded(of: Sequence[Tensor]) -> Tensor:
        return model.decode(of[0], list(reversed(of[1:])))

    before, found = decoded(values), []
    for number, own in enumerate(values):
        moved = torch.empty(own.shape[1])
        for dimension in range(own.shape[1]):
            changed = own.clone()
            changed[:, dimension] += PROBE
            after = decoded([*values[:number], changed, *values[number + 1 :]])
            moved[dimension] = ((after - before) / PROBE).flatten(1).square().sum(1).mean().sqrt()
        steps = (STEPS[min(number, 1)] / moved.double()).nan_to_num(MOST_STEP).clamp(LEAST_STEP, MOST_STEP)
        found.append(steps.float().numpy())
    return found


def _levels(model: PIE, pixels: Pixels, steps: Sequence[Values]) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Return the class of each number's deviation, and the frequencies of each class, for z and for the levels."""
    parts = [analyse(model, batch) for batch in _batches(model, pixels)]
    counts = np.zeros((2, CLASSES, SYMBOLS))
    classes = []
    for number, own in enumerate(steps):
        values = np.concatenate([part[number] for part in parts])
        deviation = np.sqrt(np.square(np.nan_to_num(values / own)).mean(0)).clip(1e-9)
        classes.append(np.rint(4 * np.log2(deviation)).astype(np.int64) + CLASSES // 2 - 8)
        for fineness in range(FINEST + 1):
            symbols = whole_steps(values, own / np.float32(2**fineness)) + CENTRE
            symbols[(symbols < 0) | (symbols >= ESCAPE)] = ESCAPE
            for dimension, one in enumerate((classes[-1] + 4 * fineness).clip(0, CLASSES - 1)):
                counts[min(number, 1), one] += np.bincount(symbols[:, dimension], minlength=SYMBOLS)
    counts[:, :, :ESCAPE] += counts[:, :, :ESCAPE][:, :, ::-1].copy()  # either sign alike
    frequencies = whole_frequencies(counts + PRIOR * _laplace(), TOTAL - SYMBOLS).astype(np.int32)
    return np.concatenate(classes).clip(0, CLASSES - 1).astype(np.int16), frequencies


def _laplace() -> NDArray[np.float64]:
    """Return the probabilities (CLASSES, 256) of symbols with a Laplace distribution of each class's deviation."""
    deviation = 2 ** ((np.arange(CLASSES) - CLASSES // 2 + 8) / 4)
    scale = deviation[:, None] / np.sqrt(2)
    edges = np.arange(SYMBOLS) - CENTRE - 0.5
    tail = 0.5 * np.exp(-np.abs(edges) / scale)
    below = np.where(edges < 0, tail, 1 - tail)
    probabilities = np.diff(below, axis=1, append=1.0)
    probabilities[:, ESCAPE] += below[:, 0]
    return probabilities
