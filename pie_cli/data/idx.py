"""IDX files, in which MNIST, Fashion-MNIST and Kuzushiji-MNIST come: their four names, and what is in them."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pie_cli.data.base import ImageSet
from pie_cli.data.download import Files, gunzip

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

LARGEST_FILE = 64 * 2**20  # bytes; the largest has 47,040,016


def load_packed(
    name: str, data_dir: Path, offline: bool, report: Callable[[str], None]
) -> tuple[ImageSet, ImageSet, str]:
    """Return training images, test images and where they came from, of torchvision's "FashionMNIST" or "KMNIST".

    The files are kept in ``data_dir/FashionMNIST/raw`` and so on (torchvision's layout) as .gz, since torchvision knows
    the hashes of those. Raises PIEError as `Files.load` does.
    """
    import torchvision

    known = getattr(torchvision.datasets, name)
    files = Files(
        f"{name}'s four files", dict(known.resources), folders=(f"{name}/raw",), mirrors=lambda: known.mirrors
    )
    packed, source = files.load(data_dir, offline, report)
    unpacked = {file.removesuffix(".gz"): gunzip(content, LARGEST_FILE) for file, content in packed.items()}
    return *image_sets(unpacked), source


def image_sets(files: Mapping[str, bytes]) -> tuple[ImageSet, ImageSet]:
    """Return the training and the test images of four (verified) IDX files by name."""
    names = (TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)
    idx = [[_parse(files[name]) for name in pair] for pair in names]
    training, test = (ImageSet(images.unsqueeze(1), labels.long()) for images, labels in idx)
    return training, test


def _parse(content: bytes) -> Tensor:
    """Return the contents of a (verified) IDX file as uint8: images (N, H, W) or labels (N,)."""
    dimensions = content[3]
    shape = struct.unpack_from(f">{dimensions}I", content, offset=4)
    return torch.frombuffer(bytearray(content[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)
