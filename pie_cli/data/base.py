"""What an image set is: images with labels, split into training, validation and test; and the sets by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # torch is imported where it is used: the command line needs only the names below
    from torch import Tensor

DatasetName = Literal["mnist", "digits", "fashion-mnist", "kmnist", "cifar10", "svhn"]
DATASETS: tuple[DatasetName, ...] = get_args(DatasetName)
IMAGE_SHAPES: dict[DatasetName, tuple[int, int, int]] = {
    "mnist": (1, 28, 28),
    "digits": (1, 28, 28),
    "fashion-mnist": (1, 28, 28),
    "kmnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "svhn": (3, 32, 32),
}

QUICK_IMAGES = 1_000  # test images that quick runs are evaluated on


@dataclass(frozen=True)
class ImageSet:
    """Images with their classes."""

    images: Tensor  # uint8 (N, C, H, W), 0 to 255
    labels: Tensor  # int64 (N,)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def sha256(self) -> str:
        """The SHA-256 over the images' and the labels' bytes."""
        import hashlib

        digest = hashlib.sha256(self.images.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def __getitem__(self, which: slice | Tensor) -> ImageSet:
        """Return the images and labels of a range, or of indices."""
        return ImageSet(self.images[which], self.labels[which])

    def some(self, count: int) -> ImageSet:
        """Return `count` of the images, or all if there are fewer, drawn at random: always the same ones."""
        import torch

        return self[torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:count]]


@dataclass(frozen=True)
class Dataset:
    """A data set in its three parts."""

    name: str  # one of `DATASETS`
    source: str  # one line that says where the images came from
    train: ImageSet  # what a model is fitted to
    validation: ImageSet  # what choices during training are made on
    test: ImageSet  # what is reported, and looked at for nothing else
    classes: tuple[str, ...]  # the names of the labels 0, 1, …

    @property
    def quick(self) -> Dataset:
        """The same with fewer test images: where trainings are short, evaluating them should not take longer.

        They are drawn at random, since the order of MNIST's test images is not: the first are easier than the last.
        """
        return replace(self, test=self.test.some(QUICK_IMAGES))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width
