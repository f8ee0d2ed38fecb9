"""Other ways to compress the same images: picture formats, general compressors, and PCA with our entropy coder."""

from __future__ import annotations

import gzip
import io
import lzma
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_jxl  # noqa: F401  # registers JPEG XL with Pillow
import zstandard
from numpy.typing import NDArray
from PIL import Image

from pie_cli.codec.coder import SYMBOLS, TOTAL, Encoder, whole_frequencies

Pixels = NDArray[np.uint8]

QUALITIES = (1, 10, 25, 50, 75, 90)
LOSSY = {"JPEG": "quality", "WebP": "quality", "AVIF": "quality", "JXL": "quality"}
LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {"optimize": True},
    "WebP": {"lossless": True, "quality": 100, "method": 6},
    "JXL": {"lossless": True, "effort": 9},
}
WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 9),
    "xz": lambda content: lzma.compress(content, preset=9 | lzma.PRESET_EXTREME),
    "zstd": lambda content: zstandard.ZstdCompressor(level=22).compress(content),
}
PCA_SIZES = (10, 24, 40, 64)
PCA_STEPS = (0.5, 1.0)


@dataclass(frozen=True)
class Point:
    """What a way of compressing makes of the images.

    Arguments:
        name: the way.
        bytes: an image.
        mse: of pixels in [0, 1].
    """

    name: str
    bytes: float
    mse: float


def sheet(images: Pixels) -> Pixels:
    """Return images (N, H, W) as one, in rows as long as there are of them."""
    columns = math.isqrt(len(images))
    rows = len(images) // columns
    _, height, width = images.shape
    kept = images[: rows * columns].reshape(rows, columns, height, width)
    return kept.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def lossy(images: Pixels) -> list[Point]:
    """Return points of the picture formats at several qualities: each image in a file of its own, and all in one."""
    whole, found = sheet(images), list[Point]()
    count = whole.size // images[0].size
    for name in LOSSY:
        for quality in QUALITIES:
            each = [_coded(image, name, quality=quality) for image in images]
            found.append(Point(name, sum(size for size, _ in each) / len(images), _mean([mse for _, mse in each])))
        for quality in QUALITIES:
            size, mse = _coded(whole, name, quality=quality)
            found.append(Point(f"{name}, one sheet", size / count, mse))
    return found


def lossless(images: Pixels) -> dict[str, float]:
    """Return the bits a pixel of lossless ways; those of pictures with each image in a file of its own."""
    bits = {}
    for name, options in LOSSLESS.items():
        sizes = [_coded(image, name, **options)[0] for image in images]
        bits[name] = 8 * sum(sizes) / images.size
        whole = sheet(images)
        bits[f"{name}, one sheet"] = 8 * _coded(whole, name, **options)[0] / whole.size
    for name, compress in WHOLE.items():
        bits[f"{name}, all together"] = 8 * len(compress(images.tobytes())) / images.size
    return bits


def _coded(image: Pixels, name: str, **options: Any) -> tuple[int, float]:
    """Return the bytes of an image in a format, and the error of what comes out."""
    file = io.BytesIO()
    picture = Image.fromarray(image)
    picture.save(file, name, **options)
    undone = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("L"))
    return len(file.getvalue()), float(np.square((undone / 255.0) - (image / 255.0)).mean())


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def pca(train: Pixels, images: Pixels) -> list[Point]:
    """Return points of principal components, in steps, under frequencies counted on the training images."""
    known, test = (of.reshape(len(of), -1) / 255.0 for of in (train, images))
    mean = known.mean(0)
    _, axes = np.linalg.eigh(np.cov((known - mean).T))
    found = []
    for size in PCA_SIZES:
        kept = axes[:, ::-1][:, :size]
        for step in PCA_STEPS:
            counted, coded = (np.rint((of - mean) @ kept / step).astype(int) + SYMBOLS // 2 for of in (known, test))
            encoder = Encoder()
            for one, symbols in zip(counted.T, coded.T, strict=True):
                counts = np.bincount(one, minlength=SYMBOLS).astype(np.float64) + 0.01
                encoder.put(symbols, whole_frequencies(counts, TOTAL - SYMBOLS).astype(np.float32))
            undone = np.rint(255 * ((coded - SYMBOLS // 2) * step @ kept.T + mean).clip(0, 1)) / 255
            mse = float(np.square(undone - test).mean())
            found.append(Point(f"PCA, step {step:g}", len(encoder.finish()) / len(images), mse))
    return found
