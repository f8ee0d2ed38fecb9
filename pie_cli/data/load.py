"""Image sets by name, fetched and verified if necessary."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pie_cli.data.base import DATASETS, Dataset, ImageSet
from pie_cli.data.digits import load_digits
from pie_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

MNIST_VALIDATION = 5_000  # the last of the 60,000 training images


def default_data_dir() -> Path:
    """Return this program's cache folder on the platform, where downloaded data are kept.

    Raises UsageError if the user has no home folder, and so no cache.
    """
    from platformdirs import user_cache_path

    try:
        return user_cache_path("pie")
    except RuntimeError as error:
        raise UsageError("this user has no home folder to keep data in; choose a folder with `data_dir`") from error


def load_dataset(
    name: str, data_dir: Path | None = None, offline: bool = False, report: Callable[[str], None] = print
) -> Dataset:
    """Return one of `DATASETS`, from files in `data_dir` (None: the platform's cache folder) or fetched into it.

    `offline` opens no connection. `report` gets a line for each source that is tried, and one with the final source.
    Raises UsageError if `name` is unknown, PIEError with what to do if the data are altered or unavailable.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}; choose one of: {', '.join(DATASETS)}")
    dataset = load_digits() if name == "digits" else _mnist(data_dir or default_data_dir(), offline, report)
    report(f"{name}: {dataset.source}")
    return dataset


def _mnist(data_dir: Path, offline: bool, report: Callable[[str], None]) -> Dataset:
    from pie_cli.data import mnist

    files, source = mnist.load_mnist_files(data_dir, offline, report)
    names = (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS), (mnist.TEST_IMAGES, mnist.TEST_LABELS)
    idx = [[_parse_idx(files[name]) for name in pair] for pair in names]
    training, test = (ImageSet(images.unsqueeze(1), labels.long()) for images, labels in idx)
    return Dataset("mnist", source, training[:-MNIST_VALIDATION], training[-MNIST_VALIDATION:], test)


def _parse_idx(content: bytes) -> Tensor:
    """Return the contents of a (verified) IDX file as uint8: images (N, H, W) or labels (N,)."""
    import torch

    dimensions = content[3]
    shape = struct.unpack_from(f">{dimensions}I", content, offset=4)
    return torch.frombuffer(bytearray(content[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)
