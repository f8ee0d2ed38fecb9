"""Images to a compressed file and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_cli.codec.coder import STATE, Damaged, Decoder, Encoder
from pie_cli.codec.container import LARGEST_VALUES, Container, Header, Kind, Layer, check_kind
from pie_cli.codec.levels import FINEST, Level, Values, analyse, as_pixels, pie_of, sizes_of, synthesise
from pie_cli.codec.pixels import Pixels, decode_pixels, encode_pixels
from pie_cli.codec.rounding import cells, decode_doubts, doubt_width, doubts_in, encode_doubts, otherwise
from pie_cli.codec.tables import Tables, check_weights, tables_of
from pie_cli.errors import PIEError
from pie_cli.models.base import Autoencoder
from pie_cli.models.pie import PIE

GROUP = 2048  # images that are coded at a time, and
GROUP_VALUES = 2**20  # how many pixel values they have, unless one image has more


def compress(
    model: Autoencoder,
    images: Tensor | Pixels,
    keep: int | None = None,
    lossless: bool = True,
    *,
    fineness: int | None = None,
    names: Sequence[str] = (),
    kind: Kind = "tensor",
    tables: Tables | None = None,
) -> bytes:
    """Return images (N, C, H, W) of uint8 as a compressed file.

    Arguments:
        model: a PIE from a run folder that has tables; `tables` are for one that has none (`fit_tables`).
        keep: how many residual levels are kept beside z; None stands for all.
        lossless: whether the exact layer follows, with which the pixels come back as they are.
        fineness: how often the steps of z and the levels are halved, 0 to 4, and 0 where it is lossless. By default,
            once for each level after the first: a level adds little where those before it are coarse.
        names: of pictures, as `names.stored_names` returns them.
        kind: what the images came in as.

    Raises:
        ValueError: for images of another shape or type, or arguments out of range.
        PIEError: if the model is no PIE or there are no tables of it, or the coder is missing.

    Example:
        >>> from pie_cli import load_showcase
        >>> model, images = load_showcase(), torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        >>> data = compress(model, images)
        >>> torch.equal(decompress(data, model), images)
        True
    """
    model = pie_of(model)
    tables = tables or tables_of(model)
    check_weights(model, tables)
    pixels, sizes = pixels_of(model, images), sizes_of(model.config)
    check_kind(kind, names, len(pixels), model.image_shape[0])
    keep = len(sizes) - 1 if keep is None else keep
    if not 0 <= keep < len(sizes):
        raise ValueError(f"keep must lie between 0 and {len(sizes) - 1}, got {keep}")
    if fineness is None:
        fineness = 0 if lossless else min(max(keep - 1, 0), FINEST)
    if not 0 <= fineness <= (0 if lossless else FINEST):
        raise ValueError(f"fineness must lie between 0 and {FINEST}, and be 0 in a lossless file; got {fineness}")
    layers = [Level(tables, sizes, number, fineness) for number in range(keep + 1)]
    other = otherwise(model) if lossless else model  # only the exact layer compares them
    encoders, exact, errors = [Encoder() for _ in layers], Encoder(), np.zeros(keep + 1)
    for group in _groups(len(pixels), model.image_shape):
        decoded, kept = _encode_levels(model, layers, encoders, pixels[group], errors)
        if lossless:
            doubts = doubts_in(decoded, doubt_width(model, other, kept))
            encode_doubts(exact, doubts, decoded.size)
            encode_pixels(exact, tables, keep, cells(decoded, doubts), pixels[group])
    contents = [encoder.finish() for encoder in encoders]
    described = [Layer.of(content, mse) for content, mse in zip(contents, errors / pixels.size, strict=True)]
    if lossless:
        contents.append(exact.finish())
        described.append(Layer.of(contents[-1], 0.0))
    header = Header(
        kind=kind,
        count=len(pixels),
        shape=model.image_shape,
        fineness=fineness,
        exact=lossless,
        model=tables.fingerprint,
        pixels=_sha256(pixels),
        names=tuple(names),
        layers=tuple(described),
    )
    return Container.pack(header, contents)


def decompress(data: bytes, model: Autoencoder, keep: int | None = None, *, tables: Tables | None = None) -> Tensor:
    """Return the images (N, C, H, W) of uint8 in a compressed file.

    Without `keep`, they are the best that the file has: exact, if it has the exact layer. With it, they are decoded
    from z and so many levels, and nothing else of the file is looked at.

    Raises:
        ValueError: if the file has fewer levels.
        PIEError: if it is damaged, cut, or of another model; or if the pixels that come out are not those that went in.
    """
    model = pie_of(model)
    with _telling_of_damage():
        return decode(Container.parse(data), model, tables or tables_of(model), keep)


@contextmanager
def _telling_of_damage() -> Iterator[None]:
    """Make what is wrong with compressed data an error that users are told."""
    try:
        yield
    except Damaged as error:
        raise PIEError(f"the compressed data are damaged: {error}") from error


@_telling_of_damage()
def decode(container: Container, model: PIE, tables: Tables, keep: int | None) -> Tensor:
    """Return the images in a file that is parsed already, as `decompress` does."""
    header, sizes = container.header, sizes_of(model.config)
    if header.model != tables.fingerprint:
        raise PIEError("the compressed data are of another model; decode them with the one whose SHA-256 they name")
    if header.shape != model.image_shape or header.keep >= len(sizes):
        raise Damaged("its images are not of its model's shape")
    if keep is not None and not 0 <= keep <= header.keep:
        raise ValueError(f"keep must lie between 0 and {header.keep}, the levels in the file; got {keep}")
    exact = header.exact and keep is None
    keep = header.keep if keep is None else keep
    layers = [Level(tables, sizes, number, header.fineness) for number in range(keep + 1)]
    decoders = [Decoder(container.layer(number)) for number in range(keep + 1)]
    last = Decoder(container.layer(keep + 1)) if exact else None
    check_weights(model, tables)
    if 8 * len(container.layer(0)) + STATE < header.count * layers[0].least_bits:
        raise Damaged(f"it is too short for {header.count:,} images")
    pixels = np.empty((header.count, *header.shape), np.uint8)
    for group in _groups(header.count, header.shape):
        count = group.stop - group.start
        values = [layer.restore(layer.decode(own, count)) for layer, own in zip(layers, decoders, strict=True)]
        decoded = synthesise(model, values)
        if last is None:
            pixels[group] = as_pixels(decoded)
        else:
            doubts = decode_doubts(last, decoded.size)
            pixels[group] = decode_pixels(last, tables, keep, cells(decoded, doubts))
    for decoder in (*decoders, *([last] if last else [])):
        decoder.finish()
    if exact and _sha256(pixels) != header.pixels:
        raise PIEError(
            "the pixels that come out are not those that went in, because this machine rounds further off than the "
            "file allows; decode it in float64, or leave out the exact layer with `keep`"
        )
    return torch.from_numpy(pixels)


def _encode_levels(
    model: PIE, layers: Sequence[Level], encoders: Sequence[Encoder], pixels: Pixels, errors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[Values]]:
    """Code z and the levels of a group; add the squared errors up to each to `errors`.

    Return the decoded images in grey levels, and the values that they are decoded from.
    """
    kept: list[Values] = []
    values = analyse(model, pixels)
    for number, (layer, encoder) in enumerate(zip(layers, encoders, strict=True)):
        numbers = layer.quantise(values[number])
        layer.encode(encoder, numbers)
        kept.append(layer.restore(numbers))
        decoded = synthesise(model, kept)
        errors[number] += np.square((as_pixels(decoded) / 255.0) - (pixels / 255.0)).sum()
    return decoded, kept


def _groups(count: int, shape: tuple[int, int, int]) -> Iterator[slice]:
    """Yield the ranges of images that are coded at a time."""
    size = max(1, min(GROUP, GROUP_VALUES // prod(shape)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def pixels_of(model: PIE, images: Any) -> Pixels:
    """Return images as an array. Raises ValueError unless they fit the model."""
    pixels = images.cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != model.image_shape:
        shape = ", ".join(map(str, model.image_shape))
        raise ValueError(f"expected images of uint8 and shape (N, {shape}), got {pixels.dtype} {pixels.shape}")
    if not 0 < pixels.size <= LARGEST_VALUES:
        raise ValueError(f"expected 1 to {LARGEST_VALUES // prod(model.image_shape):,} images, got {len(pixels):,}")
    return np.ascontiguousarray(pixels)


def _sha256(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.data).hexdigest()
