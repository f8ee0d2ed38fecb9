"""Whole image sets through a model, a batch at a time, so that memory stays bounded."""

from collections.abc import Callable

import torch
from torch import Tensor

from pie_cli.data.base import Dataset, ImageSet
from pie_cli.models.base import PROJECTION_RATE, Autoencoder
from pie_cli.models.pie import PIE

BATCH = 1_000
FITTED_CODES = 10_000  # that priors are fitted to


def in_batches(function: Callable[[Tensor], Tensor], inputs: Tensor, model: Autoencoder) -> Tensor:
    """Return function(inputs) on the CPU, computed a batch at a time on the model's device."""
    device = next(model.parameters()).device
    with torch.no_grad():
        return torch.cat([function(batch.to(device)).cpu() for batch in inputs.split(BATCH)])


def prior_samples(model: Autoencoder, count: int, std: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return codes z ~ N(0, std²·I) of a seed and the images decoded from them, not clipped."""
    codes = std * torch.randn(count, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    return codes, in_batches(model.decode, codes, model)


def fitted_codes(model: Autoencoder, dataset: Dataset) -> Tensor:
    """Return the codes of the first `FITTED_CODES` training images: what fitted priors rest on."""
    return in_batches(model.encode, clean(dataset.train[:FITTED_CODES]), model)


def projections(model: Autoencoder, images: Tensor, steps: int, rate: float = PROJECTION_RATE) -> Tensor:
    """Return the images nearest to `images` that the model decodes (`Autoencoder.project`)."""
    return in_batches(lambda x: model.decode(model.project(x, steps, rate)), images, model)


def decode_kept(model: PIE, images: Tensor, keep: int) -> Tensor:
    """Return the images decoded from z and the `keep` residual levels nearest to it."""

    def decoded(x: Tensor) -> Tensor:
        z, residuals, _ = model(x)
        return model.decode(z, residuals, keep=keep)

    return in_batches(decoded, images, model)


def clean(images: ImageSet) -> Tensor:
    """Return the images as floats in [0, 1], without noise."""
    return images.images.float() / 255


def random_tenth(images: ImageSet) -> Tensor:
    """Return a tenth of the images, drawn at random, as floats in [0, 1]: for what takes long."""
    return clean(images.some(len(images) // 10))


def encode_pairs(model: Autoencoder, images: ImageSet, pairs: Tensor) -> Tensor:
    """Return the codes (P, 2, d) of the images with indices `pairs` (P, 2)."""
    return in_batches(model.encode, clean(images)[pairs.flatten()], model).unflatten(0, (-1, 2))


def interpolate(model: Autoencoder, ends: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes (1 − t)·z₀ + t·z₁ between pairs of codes, (P, T, d), and their images (P, T, C, H, W).

    `ends` are the codes of the pairs, (P, 2, d), and `t` the positions (T,), 0 at the first code of a pair.
    """
    codes = (1 - t[:, None]) * ends[:, :1] + t[:, None] * ends[:, 1:]
    return codes, in_batches(model.decode, codes.flatten(0, 1), model).unflatten(0, codes.shape[:2])
