"""Image sets made up for a test: any shape and size, with classes or without; and untrained runs on them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pie_cli import PIE, PIEConfig, save_model
from pie_cli.data.base import Dataset, ImageSet
from pie_cli.runs.folder import Run

SIZES = {"dense_width": 8, "dense_depth": 1, "conv_width": 4, "couplings": 1}


def images(count: int, shape: tuple[int, int, int], labels: Tensor, seed: int) -> Tensor:
    """Return uint8 images (N, C, H, W): noise in the left half, and grey that tells the class in the right."""
    pixels = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    pixels[..., shape[2] // 2 :] = (40 * (labels % 6)).byte()[:, None, None, None]
    return pixels


def dataset(
    shape: tuple[int, int, int] = (1, 8, 8),
    sizes: tuple[int, int, int] = (120, 20, 40),
    classes: tuple[str, ...] | None = None,
) -> Dataset:
    """Return a set of so many training, validation and test images, whose classes take turns."""
    parts: list[ImageSet] = []
    for seed, size in enumerate(sizes):
        labels = torch.arange(size) % len(classes or "012")
        parts.append(ImageSet(images(size, shape, labels, seed), None if classes is None else labels))
    train, validation, test = parts
    return Dataset("made-up", "a test", train, validation, test, classes)


def run(folder: Path, shape: tuple[int, int, int] = (1, 8, 8), latent_dim: int = 3) -> Run:
    """Return the run of an untrained small PIE."""
    torch.manual_seed(0)
    save_model(PIE(PIEConfig(image_shape=shape, latent_dim=latent_dim, **SIZES)), folder)  # type: ignore[arg-type]
    return Run.open(folder)
