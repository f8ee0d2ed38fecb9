"""Pictures in NumPy's files: an .npz with arrays as MedMNIST or Keras name them, or an .npy with one array.

Arrays are read a few rows at a time and never unpickled: what NumPy would have to unpickle is refused.
"""

from __future__ import annotations

import hashlib
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from pie_cli.data.own.listing import PARTS, Listing, Part
from pie_cli.data.own.pictures import Look, Unreadable, plain
from pie_cli.errors import PIEError
from pie_cli.io.text import few

# Each part's images and labels, by the names of MedMNIST and of Keras.
NAMES = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "validation": (("val_images", "val_labels"), ("x_val", "y_val")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
LARGEST_SIDE = 2**13  # pixels
SKIPPED = 2**20  # bytes at a time


@dataclass(frozen=True)
class Array:
    """An array in a file, of which nothing is read yet but its header."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], IO[bytes]]

    def open(self) -> IO[bytes]:
        """Return the file at the first row."""
        file = self.opened()
        _header(file)
        return file

    def read(self) -> NDArray[Any]:
        """Return the whole array."""
        with self.open() as file:
            return np.frombuffer(file.read(prod(self.shape) * self.dtype.itemsize), self.dtype).reshape(self.shape)


class Arrays:
    """The pictures of an .npz or .npy file, in the order of the arrays."""

    parallel = False  # a packed array can only be read from its beginning

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self.path = path
        try:
            status = path.stat()
            arrays = _members(path) if path.suffix.lower() == ".npz" else [_array("images", lambda: path.open("rb"))]
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise PIEError(f"{path} cannot be read: {error}; get a good copy") from error
        self.fingerprint = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
        self.arrays, labels = _chosen(path, arrays)
        for array in self.arrays.values():
            _check_images(path, array)
        self.labels = {part: _read_labels(path, labels[part], len_of(self.arrays[part])) for part in labels}
        if self.labels and self.labels.keys() != self.arrays.keys():
            raise PIEError(f"{path} has labels of some parts and not of others; add them, or leave them all out")
        self._at: tuple[Part, int, IO[bytes]] | None = None

    @cached_property
    def listing(self) -> Listing:
        names = [f"{array.name}[{i}]" for array in self.arrays.values() for i in range(len_of(array))]
        parts = [part for part, array in self.arrays.items() for _ in range(len_of(array))]
        if not self.labels:
            return Listing(names, parts, None, None)
        labels = np.concatenate([self.labels[part] for part in self.arrays])
        classes, numbers = np.unique(labels, return_inverse=True)
        if unknown := sorted(set(classes.tolist()) - set(self.labels["train"].tolist())):
            raise PIEError(f"{self.path}: no training picture has the label {unknown[0]}, which other parts have")
        return Listing(names, parts, numbers.tolist(), tuple(map(str, classes.tolist())))

    def picture(self, index: int) -> tuple[Image.Image, Look]:
        """Return a picture; fastest in the order of the listing. Raises `Unreadable` with the reason."""
        for part, array in self.arrays.items():
            if index < len_of(array):
                return plain(Image.fromarray(_bytes(self._row(part, array, index))))
            index -= len_of(array)
        raise IndexError(index)

    def _row(self, part: Part, array: Array, index: int) -> NDArray[Any]:
        """Return one row, from where the last one was read if that is not behind it."""
        if self._at is None or self._at[0] != part or self._at[1] > index:
            if self._at is not None:
                self._at[2].close()
            self._at = part, 0, array.open()
        _, at, file = self._at
        size = prod(array.shape[1:]) * array.dtype.itemsize
        try:
            skip(file, size * (index - at))
            content = file.read(size)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise Unreadable(f"damaged: {error}") from error
        self._at = part, index + 1, file
        if len(content) < size:
            raise Unreadable("the file ends before it")
        return np.frombuffer(content, array.dtype).reshape(array.shape[1:])


def skip(file: IO[bytes], count: int) -> None:
    """Go on in a file by a number of bytes, which may be more than fit into memory."""
    while count > 0 and (got := len(file.read(min(count, SKIPPED)))):
        count -= got


def len_of(array: Array) -> int:
    """Return the number of rows."""
    return array.shape[0]


def _members(path: Path) -> list[Array]:
    """Return the arrays of an .npz file, which is a .zip of .npy files."""
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if info.filename.endswith(".npy")]
    return [_array(name.removesuffix(".npy"), partial(_member, path, name)) for name in names]


def _member(path: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(name)


def _array(name: str, opened: Callable[[], IO[bytes]]) -> Array:
    """Return the array in an .npy file. Raises ValueError if its header is none, or none that may be read."""
    with opened() as file:
        shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are not unpickled")
    if fortran and len(shape) > 1:
        raise ValueError(f"{name} is in Fortran's order; save it after np.ascontiguousarray")
    return Array(name, shape, dtype, opened)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read a header up to the first row; return the shape, whether it is in Fortran's order, and the type."""
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote, which are as good
        return read(file)


def _chosen(path: Path, arrays: list[Array]) -> tuple[dict[Part, Array], dict[Part, Array]]:
    """Return the images, and the labels if there are any, by part. Raises PIEError if there are no training images."""
    if path.suffix.lower() == ".npy":
        return {"train": arrays[0]}, {}
    by_name = {array.name: array for array in arrays}
    for names in zip(*NAMES.values(), strict=True):
        chosen = dict(zip(PARTS, names, strict=True))
        images = {part: by_name[of] for part, (of, _) in chosen.items() if of in by_name}
        if "train" in images:
            return images, {part: by_name[of] for part, (_, of) in chosen.items() if part in images and of in by_name}
    known = " or ".join(names[0] for names in NAMES["train"])
    raise PIEError(f"{path} has no array {known}, but {few(sorted(by_name)) or 'none at all'}")


def _check_images(path: Path, array: Array) -> None:
    """Raise PIEError unless the array holds images in one of the forms that are known."""
    shape, kind = array.shape, array.dtype
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))):
        raise PIEError(f"{path}: {array.name} must have shape (N, H, W) or (N, H, W, C) with C 1, 3 or 4, got {shape}")
    if not (kind in (np.uint8, np.uint16, np.bool_) or kind.kind == "f"):
        raise PIEError(f"{path}: {array.name} must hold uint8, uint16, bool, or floats in [0, 1], got {kind}")
    if not all(0 < side <= LARGEST_SIDE for side in shape[1:3]):
        raise PIEError(f"{path}: {array.name} has images of {shape[1]:,}×{shape[2]:,} pixels")


def _read_labels(path: Path, array: Array, images: int) -> NDArray[np.int64]:
    """Return the labels of one part, (N,). Raises PIEError unless they are whole numbers, one for each image."""
    if array.shape not in ((images,), (images, 1)):
        raise PIEError(f"{path}: {array.name} must have shape ({images},), one label for each image; got {array.shape}")
    if array.dtype.kind not in "iub":
        raise PIEError(f"{path}: {array.name} must hold whole numbers, got {array.dtype}")
    try:
        return array.read().reshape(-1).astype(np.int64)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PIEError(f"{path}: {array.name} is damaged: {error}; get a good copy") from error


def _bytes(row: NDArray[Any]) -> NDArray[np.uint8]:
    """Return one image in grey levels, (H, W) or (H, W, C). Raises `Unreadable` if its floats are not in [0, 1]."""
    row = row[..., 0] if row.ndim == 3 and row.shape[2] == 1 else row
    if row.dtype == np.uint8:
        return row
    if row.dtype == np.bool_:
        return row.astype(np.uint8) * np.uint8(255)
    if row.dtype == np.uint16:
        return np.round(row / 257).astype(np.uint8)
    if not (np.isfinite(row).all() and row.min() >= 0 and row.max() <= 1):
        low, high = float(np.min(row)), float(np.max(row))
        raise Unreadable(f"its floats must lie in [0, 1], and lie in [{low:.4g}, {high:.4g}]")
    return np.round(row.astype(np.float64) * 255).astype(np.uint8)
