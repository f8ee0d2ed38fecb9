"""Arrays in NumPy's files, an .npz or an .npy, read a few rows at a time and never unpickled."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pie_cli.errors import PIEError

ONLY = "images"  # what the array of an .npy file is called
SKIPPED = 2**20  # bytes at a time


@dataclass(frozen=True)
class Array:
    """An array in a file, of which nothing is read yet but its header; it is there to its last row."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], IO[bytes]]

    def __len__(self) -> int:
        return self.shape[0]

    def open(self) -> IO[bytes]:
        """Return the file at the first row."""
        file = self.opened()
        _header(file)
        return file

    def read(self) -> NDArray[Any]:
        """Return the whole array. Raises PIEError if it is damaged."""
        with reading(f"{self.path}: {self.name}"), self.open() as file:
            content = file.read(prod(self.shape) * self.dtype.itemsize)
            finish(file)
            return np.frombuffer(content, self.dtype).reshape(self.shape)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Make a PIEError, which names what is read, of whatever the block raises."""
    try:
        yield
    except PIEError:
        raise
    except OSError as error:
        raise PIEError(f"{what} cannot be read: {error.strerror or error}; fix that, or get a good copy") from error
    except Exception as error:  # the readers of archives and headers raise whatever damaged bytes lead to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PIEError(f"{what} cannot be read: {reason}; get a good copy") from error


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays in a file. Raises PIEError if it is damaged, or two have one name."""
    if path.suffix.lower() != ".npz":
        return [ONLY]
    with reading(str(path)), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if len(set(names)) < len(names):
        raise PIEError(f"{path} has two arrays of one name; save it again")
    return names


def find_array(path: Path, name: str) -> Array:
    """Return the array of a name. Raises PIEError if it is damaged, cut off, or of a form that is not read here."""
    packed = path.suffix.lower() == ".npz"
    opened = partial(_member, path, f"{name}.npy") if packed else partial(_plain, path)
    with reading(f"{path}: {name}"):
        if packed:
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo(f"{name}.npy").file_size
        else:
            size = path.stat().st_size
        with opened() as file:
            shape, fortran, dtype = _header(file)
            size -= file.tell()
        if any(side < 0 for side in shape):
            raise ValueError(f"it has a shape of {shape}")
        if dtype.hasobject:
            raise PIEError(f"{path}: {name} holds Python objects, which are not unpickled; save numbers instead")
        if size < prod(shape) * dtype.itemsize:
            raise ValueError(f"it ends before the last of its {shape[0]:,} rows")
    if fortran and len(shape) > 1:
        raise PIEError(f"{path}: {name} is in Fortran's order; save np.ascontiguousarray of it instead")
    return Array(path, name, shape, dtype, opened)


def skip(file: IO[bytes], count: int) -> None:
    """Go on in a file by a number of bytes, which may be more than fit into memory."""
    while count > 0 and (got := len(file.read(min(count, SKIPPED)))):
        count -= got


def finish(file: IO[bytes]) -> None:
    """Read a file to its end, where an archive's checksum is compared."""
    while file.read(SKIPPED):
        pass


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _member(path: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(name)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read a header up to the first row; return the shape, whether it is in Fortran's order, and the type."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):  # the third differs from the second in names of fields alone
        raise ValueError(f"its format has the unknown version {version}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote, which are as good
        return read(file)
