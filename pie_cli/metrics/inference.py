"""Whole image sets through a model, a batch at a time, so that memory stays bounded."""

from collections.abc import Callable, Iterator
from math import prod

import torch
from torch import Tensor

from pie_cli.data.base import Dataset, ImageSet
from pie_cli.metrics.images import squared_error
from pie_cli.models.base import PROJECTION_RATE, Autoencoder
from pie_cli.models.pie import PIE

BATCH = 1_000
BATCH_VALUES = 2**20  # pixel values in a batch: fewer of large images
FITTED_CODES = 10_000  # that priors are fitted to


def batch_size(image_shape: tuple[int, ...]) -> int:
    """Return how many images of a shape (C, H, W) are handled at a time."""
    return max(1, min(BATCH, BATCH_VALUES // prod(image_shape)))


def batches(images: Tensor | ImageSet) -> Iterator[Tensor]:
    """Return the images as floats, a batch at a time; an image set's are clean, and what was read is given back."""
    if isinstance(images, Tensor):
        yield from images.split(batch_size(images.shape[1:]))
        return
    for chunk in images.images.split(batch_size(images.images.shape[1:])):
        yield chunk.float() / 255
        images.release()


def in_batches(function: Callable[[Tensor], Tensor], inputs: Tensor | ImageSet, model: Autoencoder) -> Tensor:
    """Return function(inputs) on the CPU, computed a batch at a time on the model's device.

    The inputs are images, or codes, of which there are as many in a batch as of the images that they become.
    """
    device = next(model.parameters()).device
    parts = batches(inputs) if isinstance(inputs, ImageSet) else inputs.split(batch_size(model.image_shape))
    with torch.no_grad():
        return torch.cat([function(batch.to(device)).cpu() for batch in parts])


def prior_codes(model: Autoencoder, count: int, std: float, seed: int) -> Tensor:
    """Return codes z ~ N(0, std²·I) of a seed, (count, d), on the CPU."""
    return std * torch.randn(count, model.latent_dim, generator=torch.Generator().manual_seed(seed))


def prior_samples(model: Autoencoder, count: int, std: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return codes z ~ N(0, std²·I) of a seed and the images decoded from them, not clipped."""
    codes = prior_codes(model, count, std, seed)
    return codes, in_batches(model.decode, codes, model)


def fitted_codes(model: Autoencoder, dataset: Dataset) -> Tensor:
    """Return the codes of the first `FITTED_CODES` training images: what fitted priors rest on."""
    return in_batches(model.encode, dataset.train[:FITTED_CODES], model)


def projections(model: Autoencoder, images: Tensor, steps: int, rate: float = PROJECTION_RATE) -> Tensor:
    """Return the images nearest to `images` that the model decodes (`Autoencoder.project`)."""
    return in_batches(lambda x: model.decode(model.project(x, steps, rate)), images, model)


def decode_kept(model: PIE, x: Tensor, keep: int) -> Tensor:
    """Return the images decoded from z and the `keep` residual levels nearest to it, of a batch x."""
    z, residuals, _ = model(x)
    return model.decode(z, residuals, keep=keep)


def decoded_beside(
    decode: Callable[[Tensor], Tensor], images: ImageSet, model: Autoencoder, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what becomes of the first `count` images, and of each the squared error (N,) and the largest one (N,)."""
    first, errors, missing = list[Tensor](), list[Tensor](), count
    for x in batches(images):
        decoded = in_batches(decode, x, model)
        errors.append(torch.stack([squared_error(x, decoded), (decoded - x).abs().flatten(1).amax(1)]))
        first.append(decoded[:missing])
        missing -= len(first[-1])
    squared, largest = torch.cat(errors, 1)
    return torch.cat(first), squared, largest


def clean(images: ImageSet) -> Tensor:
    """Return the images as floats in [0, 1], without noise."""
    return images.images.float() / 255


def random_tenth(images: ImageSet) -> Tensor:
    """Return a tenth of the images, at least one, drawn at random, as floats in [0, 1]: for what takes long."""
    return clean(images.some(max(1, len(images) // 10)))


def encode_pairs(model: Autoencoder, images: ImageSet, pairs: Tensor) -> Tensor:
    """Return the codes (P, 2, d) of the images with indices `pairs` (P, 2)."""
    return in_batches(model.encode, images.take(pairs.flatten()).float() / 255, model).unflatten(0, (-1, 2))


def interpolate(model: Autoencoder, ends: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes (1 − t)·z₀ + t·z₁ between pairs of codes, (P, T, d), and their images (P, T, C, H, W).

    `ends` are the codes of the pairs, (P, 2, d), and `t` the positions (T,), 0 at the first code of a pair.
    """
    codes = (1 - t[:, None]) * ends[:, :1] + t[:, None] * ends[:, 1:]
    return codes, in_batches(model.decode, codes.flatten(0, 1), model).unflatten(0, codes.shape[:2])
