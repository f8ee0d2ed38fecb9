"""What a page shows of the test images: pictures, classes, codes, where these lie in UMAP's plane, and errors."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from safetensors.torch import save
from torch import Tensor

from pie_cli.codec.tables import tables_of
from pie_cli.data.base import Dataset, ImageSet
from pie_cli.errors import PIEError
from pie_cli.metrics import inference
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import squared_error
from pie_cli.models.base import Autoencoder
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import CODING, Run

MOST = 10_000  # test images
PICTURES = 2**22 * 3 // 2  # bytes of all pictures, compressed
VALUES = 2**27  # pixel values of all pictures, which a browser has in memory
TRIED = 100  # pictures from which it is known how many bytes one has
MEASURED = 1_000  # images of which the error with each level is measured


@dataclass(frozen=True)
class Shown:
    """The test images on a page, and what the model makes of them."""

    model: Autoencoder
    images: ImageSet
    indices: Tensor  # which of the test images they are (N,)
    codes: Tensor  # z of each (N, d)
    errors: list[float]  # MSE from z alone, and with one residual level after the other


def show(model: Autoencoder, dataset: Dataset, count: int | None = None) -> Shown:
    """Return `count` test images drawn at random, in their order, with their codes.

    By default as many as there are, as long as these are at most `MOST` and their pictures fit into `PICTURES` bytes
    and `VALUES`. Raises PIEError if the model computes no finite numbers: it has diverged, say.
    """
    total = len(dataset.test)
    if count is None:
        fitting = min(PICTURES // bytes_of_one(dataset.test), VALUES // prod(model.image_shape))
        count = min(MOST, max(1, fitting))
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
    indices = order[:count].sort().values
    images = ImageSet(dataset.test.take(indices), None if dataset.test.labels is None else dataset.test.labels[indices])
    codes = inference.in_batches(model.encode, images, model)
    shown = Shown(model, images, indices, codes, errors_of(model, images, codes))
    if not (codes.isfinite().all() and all(map(math.isfinite, shown.errors))):
        raise PIEError("the model's codes or pictures of the test images are not finite; train it again")
    return shown


def bytes_of_one(images: ImageSet) -> int:
    """Return about how many bytes a picture has, compressed."""
    some = images.some(TRIED)
    images.release()
    return max(1, len(packed_pictures(some.images)) // len(some))


def packed_pictures(images: Tensor) -> bytes:
    """Return images (N, C, H, W) of uint8 as a zlib stream: to read it, browsers need no canvas."""
    return zlib.compress(images.contiguous().numpy().tobytes(), 9)


def errors_of(model: Autoencoder, images: ImageSet, codes: Tensor) -> list[float]:
    """Return the MSE from z alone, of all images, and that with one residual level more each, of `MEASURED` images."""
    decoded = zip(inference.batches(images), codes.split(inference.batch_size(model.image_shape)), strict=True)
    alone = torch.cat([squared_error(x, inference.in_batches(model.decode, z, model)) for x, z in decoded])
    errors = [alone.double().mean().item()]
    if isinstance(model, PIE):
        some = images[:MEASURED]
        for keep in range(1, len(model.residual_sizes) + 1):
            decode = partial(inference.decode_kept, model, keep=keep)
            errors.append(inference.decoded_beside(decode, some, model, 0)[1].double().mean().item())
    return errors


def data_of(run: Run, shown: Shown) -> bytes:
    """Return everything that the page's script reads of the images, as safetensors."""
    images = shown.images
    pictures = torch.frombuffer(bytearray(packed_pictures(images.images)), dtype=torch.uint8)
    tensors = {
        "pictures": pictures,
        "indices": shown.indices.int(),
        "codes": shown.codes.float(),
        "plane": umap_plane(shown.codes, seed=0).float(),
    }
    if images.labels is not None:
        tensors["labels"] = images.labels.int()
    if isinstance(shown.model, PIE) and (run.folder / CODING).exists():
        tables = tables_of(shown.model).tensors
        tensors |= {f"coding.{name}": tables[name] for name in ("steps", "classes", "frequencies")}
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})
