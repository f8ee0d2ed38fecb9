"""Pictures in NumPy's files: an .npz with arrays as MedMNIST or Keras name them, or an .npy with one array."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pie_cli.data.own.listing import PARTS, Listing, Part
from pie_cli.data.own.npy import ONLY, Array, array_names, find_array, finish, reading, skip
from pie_cli.data.own.pictures import Look, Unreadable, plain
from pie_cli.errors import PIEError
from pie_cli.io.files import stamp
from pie_cli.io.text import few

# Each part's images and labels, by the names of MedMNIST and of Keras.
NAMES = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "validation": (("val_images", "val_labels"), ("x_val", "y_val")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
LARGEST_SIDE = 2**13  # pixels


class Arrays:
    """The pictures of an .npz or .npy file, in the order of the arrays. Raises PIEError if they are not of a kind."""

    parallel = False  # a packed array can only be read from its beginning

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path = path
        with reading(str(path)):
            mark = f"{path}\0{stamp(path.stat())}"
        self.fingerprint = hashlib.sha256(mark.encode(errors="surrogateescape")).hexdigest()
        images, labels = _chosen(path, array_names(path))
        self.arrays = {part: find_array(path, name) for part, name in images.items()}
        for array in self.arrays.values():
            _check_images(array)
        if not len(self.arrays["train"]):
            raise PIEError(f"{path} has no images to train on")
        self.labels = {part: _read_labels(find_array(path, labels[part]), len(self.arrays[part])) for part in labels}
        if self.labels and self.labels.keys() != self.arrays.keys():
            raise PIEError(f"{path} has labels of some parts and not of others; add them, or leave them all out")
        self._at: tuple[Part, int, IO[bytes]] | None = None

    @cached_property
    def listing(self) -> Listing:
        names = [f"{array.name}[{i}]" for array in self.arrays.values() for i in range(len(array))]
        parts = [part for part, array in self.arrays.items() for _ in range(len(array))]
        if not self.labels:
            return Listing(names, parts, None, None)
        labels = np.concatenate([self.labels[part] for part in self.arrays])
        classes, numbers = np.unique(labels, return_inverse=True)
        if unknown := sorted(set(classes.tolist()) - set(self.labels["train"].tolist())):
            raise PIEError(f"{self.path}: no training picture has the label {unknown[0]}, which other parts have")
        return Listing(names, parts, numbers.tolist(), tuple(map(str, classes.tolist())))

    def picture(self, index: int) -> tuple[Image.Image, Look]:
        """Return a picture; fastest in the order of the listing.

        Raises `Unreadable` with the reason if its values are no grey levels, PIEError if the file is damaged.
        """
        for part, array in self.arrays.items():
            if index < len(array):
                return plain(Image.fromarray(_bytes(self._row(part, array, index))))
            index -= len(array)
        raise IndexError(index)

    def _row(self, part: Part, array: Array, index: int) -> NDArray[Any]:
        """Return one row, from where the last one was read if that is not behind it."""
        with reading(f"{self.path}: {array.name}"):
            if self._at is None or self._at[0] != part or self._at[1] > index:
                if self._at is not None:
                    self._at[2].close()
                self._at = part, 0, array.open()
            _, at, file = self._at
            size = prod(array.shape[1:]) * array.dtype.itemsize
            skip(file, size * (index - at))
            row = np.frombuffer(file.read(size), array.dtype).reshape(array.shape[1:])
            self._at = part, index + 1, file
            if index + 1 == len(array):
                finish(file)
        return row


def _chosen(path: Path, names: Collection[str]) -> tuple[dict[Part, str], dict[Part, str]]:
    """Return the names of the images, and of the labels if there are any, by part.

    Raises PIEError if there are no training images.
    """
    if path.suffix.lower() == ".npy":
        return {"train": ONLY}, {}
    for pairs in zip(*NAMES.values(), strict=True):
        chosen = dict(zip(PARTS, pairs, strict=True))
        images = {part: of for part, (of, _) in chosen.items() if of in names}
        if "train" in images:
            return images, {part: of for part, (_, of) in chosen.items() if part in images and of in names}
    known = " or ".join(pairs[0] for pairs in NAMES["train"])
    raise PIEError(f"{path} has no array {known}, but {few(sorted(names)) or 'none at all'}; rename yours")


def _check_images(array: Array) -> None:
    """Raise PIEError unless the array holds images in one of the forms that are known."""
    shape, kind, called = array.shape, array.dtype, f"{array.path}: {array.name}"
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))):
        channels_first = len(shape) == 4 and shape[1] in (1, 3, 4)
        advice = "; save array.transpose(0, 2, 3, 1) instead" if channels_first else ""
        raise PIEError(f"{called} must have shape (N, H, W) or (N, H, W, C) with C 1, 3 or 4, got {shape}{advice}")
    if not (kind.newbyteorder("=") in (np.uint8, np.uint16, np.bool_) or kind.kind == "f"):
        advice = "; if its values are 0 to 255, save array.astype(np.uint8) instead" if kind.kind in "iu" else ""
        raise PIEError(f"{called} must hold uint8, uint16, bool, or floats in [0, 1], got {kind}{advice}")
    if not all(0 < side <= LARGEST_SIDE for side in shape[1:3]):
        raise PIEError(f"{called} has images of {shape[1]:,}×{shape[2]:,} pixels, not of 1 to {LARGEST_SIDE:,}")


def _read_labels(array: Array, images: int) -> NDArray[np.int64]:
    """Return the labels of one part, (N,). Raises PIEError unless they are whole numbers, one for each image."""
    called = f"{array.path}: {array.name}"
    if array.shape not in ((images,), (images, 1)):
        one_hot = len(array.shape) == 2 and array.shape[0] == images
        advice = "; if a row marks its class, save array.argmax(axis=1) instead" if one_hot else ""
        raise PIEError(f"{called} must have shape ({images},), one label for each image; got {array.shape}{advice}")
    if array.dtype.kind not in "iub":
        advice = "save array.astype(np.int64) instead" if array.dtype.kind == "f" else "number the classes"
        raise PIEError(f"{called} must hold whole numbers, got {array.dtype}; {advice}")
    values = array.read().reshape(-1)
    if (labels := values.astype(np.int64)).size and (labels != values).any():
        raise PIEError(f"{called} must hold whole numbers below 2^63")
    return labels


def _bytes(row: NDArray[Any]) -> NDArray[np.uint8]:
    """Return one image in grey levels, (H, W) or (H, W, C). Raises `Unreadable` if its floats are not in [0, 1]."""
    row = row[..., 0] if row.ndim == 3 and row.shape[2] == 1 else row
    if row.dtype == np.uint8:
        return row
    if row.dtype == np.bool_:
        return row.astype(np.uint8) * np.uint8(255)
    if row.dtype.kind == "u":
        return np.round(row / 257).astype(np.uint8)
    if not (np.isfinite(row).all() and row.min() >= 0 and row.max() <= 1):
        low, high = float(np.min(row)), float(np.max(row))
        raise Unreadable(f"its floats must lie in [0, 1], and lie in [{low:.4g}, {high:.4g}]")
    return np.round(row.astype(np.float64) * 255).astype(np.uint8)
