"""CIFAR-10, from the files of its Python version, verified by torchvision's hashes."""

import io
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Collection
from itertools import chain
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pie_cli.data.base import IMAGE_SHAPES, ImageSet
from pie_cli.data.download import Files
from pie_cli.errors import PIEError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = prod(IMAGE_SHAPES["cifar10"])
LARGEST_BATCH = 64 * 2**20  # bytes; one has about 31 million


def load_cifar10(data_dir: Path, offline: bool, report: Callable[[str], None]) -> tuple[ImageSet, ImageSet, str]:
    """Return training images, test images and where they came from.

    They come from ``data_dir/cifar-10-batches-py`` (torchvision's layout), or else from the archive in `data_dir`,
    which is fetched if necessary and stays packed. Raises PIEError as `Files.load` does, and if the files do not hold
    them.
    """
    from torchvision.datasets import CIFAR10

    training, test = dict(CIFAR10.train_list), dict(CIFAR10.test_list)
    folder, digests = CIFAR10.base_folder, training | test
    source = f"{data_dir / folder} (MD5 verified)"
    batches = Files("CIFAR-10's batches", digests, folders=(folder,)).find(data_dir)
    if len(batches) < len(digests):
        name, mirror = CIFAR10.filename, CIFAR10.url.removesuffix(CIFAR10.filename)
        archive = Files("CIFAR-10's archive", {name: CIFAR10.tgz_md5}, mirrors=lambda: (mirror,))
        files, source = archive.load(data_dir, offline, report)
        batches = _unpack(files[name], digests)
    try:
        training_images, test_images = (_join([batches[name] for name in names]) for names in (training, test))
    except (KeyError, ValueError) as error:
        raise PIEError(f"CIFAR-10's batches of {source} do not have the known form: {error}; use others") from error
    return training_images, test_images, source


def _unpack(archive: bytes, names: Collection[str]) -> dict[str, bytes]:
    """Return the contents of the files `names` in a .tar.gz; none is written. Raises PIEError if it is damaged."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
            for member in members:
                name = PurePosixPath(member.name).name
                if name in names and member.size <= LARGEST_BATCH and (content := members.extractfile(member)):
                    files[name] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise PIEError(f"CIFAR-10's archive is damaged: {error}; use another one") from error
    return files


def _join(batches: list[bytes]) -> ImageSet:
    pixels, labels = zip(*map(_parse, batches), strict=True)
    images = torch.from_numpy(np.concatenate(pixels)).reshape(-1, *IMAGE_SHAPES["cifar10"])
    return ImageSet(images.contiguous(), torch.tensor(list(chain(*labels))))


def _parse(pickled: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """Return pixels (n, 3072) and labels (n,) of a batch, a pickle that Python 2 made of a dictionary.

    It is not unpickled, which could run code. It is only searched: its one long string has the pixels, and a boolean
    before that says whether they lie column by column; the labels are the numbers between the key "labels" and the next
    string. Raises ValueError if that is not so.
    """
    arrays: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    key, by_columns = "", False
    argument: Any  # of the type that belongs to the opcode
    for opcode, argument, _ in pickletools.genops(io.BytesIO(pickled)):
        match opcode.name:
            case "SHORT_BINSTRING":
                key = argument
            case "BININT1" if key == "labels":
                labels.append(argument)
            case "NEWTRUE" | "NEWFALSE":
                by_columns = opcode.name == "NEWTRUE"
            case "BINSTRING":
                values = np.frombuffer(argument.encode("latin-1"), np.uint8)
                arrays.append(values.reshape((-1, PIXELS), order="F" if by_columns else "C"))
    if [len(array) for array in arrays] != [len(labels)] or max(labels, default=0) >= len(CLASSES):
        raise ValueError(f"{len(arrays)} arrays, and {len(labels)} labels up to {max(labels, default=0)}")
    return arrays[0], labels
