"""Image sets with labels, split into training, validation and test: MNIST, and digits that need no download."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pie_cli.errors import UsageError

if TYPE_CHECKING:  # torch is imported where it is used: the command line needs only the names below
    from torch import Tensor

DATASETS = ("mnist", "digits")

MNIST_VALIDATION = 5_000  # the last of the 60,000 training images
QUICK_IMAGES = 1_000  # test images that quick runs are evaluated on
DIGITS_TRAIN, DIGITS_VALIDATION = 1_297, 200  # of 1,797; the other 300 are the test set


@dataclass(frozen=True)
class ImageSet:
    """Images with their classes.

    Arguments:
        images: uint8 (N, C, H, W), 0 to 255.
        labels: int64 (N,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def sha256(self) -> str:
        """The SHA-256 over the images' and the labels' bytes."""
        digest = hashlib.sha256(self.images.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def __getitem__(self, which: slice) -> ImageSet:
        """Return the images and labels of a range."""
        return ImageSet(self.images[which], self.labels[which])


@dataclass(frozen=True)
class Dataset:
    """A data set in its three parts.

    Arguments:
        name: one of `DATASETS`.
        source: one line that says where the images came from.
        train: what a model is fitted to.
        validation: what choices during training are made on.
        test: what is reported, and looked at for nothing else.
    """

    name: str
    source: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    @property
    def quick(self) -> Dataset:
        """The same with fewer test images: where trainings are short, evaluating them should not take longer."""
        return replace(self, test=self.test[:QUICK_IMAGES])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def default_data_dir() -> Path:
    """Return the platform's cache folder of this program, where downloaded data are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("pie")


def load_dataset(
    name: str, data_dir: Path | None = None, offline: bool = False, report: Callable[[str], None] = print
) -> Dataset:
    """Return the data set `name`, fetched and verified if need be.

    Arguments:
        name: one of `DATASETS`.
        data_dir: folder that has or will have the files; None stands for `default_data_dir()`.
        offline: open no network connection.
        report: is given one line with the source that was used, and one for each source that was tried before it.

    Raises:
        UsageError: if `name` is unknown.
        PIEError: if the data are altered or cannot be had; the message says what to do.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}; choose one of: {', '.join(DATASETS)}")
    dataset = _digits() if name == "digits" else _mnist(data_dir or default_data_dir(), offline, report)
    report(f"{name}: {dataset.source}")
    return dataset


def _mnist(data_dir: Path, offline: bool, report: Callable[[str], None]) -> Dataset:
    from pie_cli import mnist

    files, source = mnist.load_mnist_files(data_dir, offline, report)
    training = ImageSet(
        _parse_idx(files[mnist.TRAIN_IMAGES]).unsqueeze(1), _parse_idx(files[mnist.TRAIN_LABELS]).long()
    )
    test = ImageSet(_parse_idx(files[mnist.TEST_IMAGES]).unsqueeze(1), _parse_idx(files[mnist.TEST_LABELS]).long())
    return Dataset("mnist", source, training[:-MNIST_VALIDATION], training[-MNIST_VALIDATION:], test)


def _parse_idx(content: bytes) -> Tensor:
    """Return what a (verified) IDX file holds, uint8: images (N, H, W) or labels (N,)."""
    import torch

    dimensions = content[3]
    shape = struct.unpack_from(f">{dimensions}I", content, offset=4)
    return torch.frombuffer(bytearray(content[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)


def _digits() -> Dataset:
    """scikit-learn's 8×8 digits with pixels 0 to 16, enlarged to MNIST's size and range."""
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear", antialias=False)
    # The split must stay the same for ever, and only NumPy's legacy generator promises that.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(large)))
    shuffled = ImageSet(large.round().byte()[order], torch.from_numpy(digits.target).long()[order])
    end = DIGITS_TRAIN + DIGITS_VALIDATION
    return Dataset(
        "digits",
        "scikit-learn's 1,797 digits, 8×8 enlarged to 28×28",
        train=shuffled[:DIGITS_TRAIN],
        validation=shuffled[DIGITS_TRAIN:end],
        test=shuffled[end:],
    )
