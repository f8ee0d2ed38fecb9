"""What an image set is, and what is known of one: images, perhaps with labels, in three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from annotated_types import Ge, Le

from pie_cli.settings import Settings, setting

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
HASHED = 1_000  # images hashed at a time, so that memory stays bounded


def shape_text(channels: int, height: int, width: int) -> str:
    """Return what images are like, such as "28×28 in grey"."""
    return f"{width}×{height} in {({1: 'grey', 3: 'colour'}).get(channels, f'{channels} channels')}"


@dataclass(frozen=True)
class Preprocessing(Settings):
    """What is made of one's own pictures when they are read (docs/OWN_DATA.md has the rules)."""

    image_size: Annotated[int, Ge(4), Le(4096)] | None = setting(
        None,
        "Width and height of the images, in pixels: your pictures are scaled and cut to it.",
        name="size",
        default_text="that of the pictures, if all have the same",
    )
    grayscale: bool = setting(False, "Make your pictures grey.", name="grey", flags=("--grayscale", ""))
    pad: bool = setting(
        False,
        "Give pictures that are not square white margins, or cut off what is beyond their middle.",
        flags=("--pad", "--crop"),
        default_text="crop",
    )

    def check_together(self) -> None:
        if self.pad and self.image_size is None:
            raise ValueError("`pad` needs an `image_size`")


@dataclass(frozen=True)
class DataConfig(Preprocessing):
    """What a run remembers of one's own images: which they were, and what was made of them."""

    sha256: str = setting("", "SHA-256 of images and labels, split as they are.", option=False)
    classes: tuple[str, ...] | None = setting(None, "Names of the labels 0, 1, …; None without labels.", option=False)
    drawn: tuple[Literal["validation", "test"], ...] = setting(
        (), "Parts that were not there, and so were drawn from the training images with a seed.", option=False
    )
    left_out: Annotated[int, Ge(0)] = setting(0, "Files left out because they could not be read.", option=False)


@dataclass(frozen=True)
class ImageSet:
    """Images, perhaps with their classes."""

    images: Tensor  # uint8 (N, C, H, W), 0 to 255; perhaps of a file that is mapped into memory
    labels: Tensor | None  # int64 (N,); None if nothing is known
    # Gives back the memory of what was read of a mapped file; the images stay as they are.
    release: Callable[[], object] = field(default=lambda: None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def sha256(self) -> str:
        """The SHA-256 over the images' and the labels' bytes."""
        import hashlib

        digest = hashlib.sha256()
        for images in self.images.split(HASHED):
            digest.update(images.numpy().tobytes())
            self.release()
        if self.labels is not None:
            digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def __getitem__(self, which: slice | Tensor) -> ImageSet:
        """Return the images and labels of a range, or of indices."""
        return replace(self, images=self.images[which], labels=None if self.labels is None else self.labels[which])

    def take(self, indices: Tensor) -> Tensor:
        """Return the images of these indices, in memory of their own."""
        taken = self.images[indices]
        self.release()
        return taken

    def some(self, count: int) -> ImageSet:
        """Return `count` of the images, or all if there are fewer, drawn at random: always the same ones."""
        import torch

        return self[torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:count]]


@dataclass(frozen=True)
class Dataset:
    """A data set in its three parts."""

    name: str  # one of `DATASETS`, or what one's own images are called
    source: str  # one line that says where the images came from
    train: ImageSet  # what a model is fitted to
    validation: ImageSet  # what choices during training are made on
    test: ImageSet  # what is reported, and looked at for nothing else
    classes: tuple[str, ...] | None  # the names of the labels 0, 1, …; None without labels
    config: DataConfig | None = None  # what a run remembers of images that have no name of `DATASETS`
    path: Path | None = None  # where those lie
    is_quick: bool = False  # whether trainings are short, so that evaluating them should not take longer

    @property
    def quick(self) -> Dataset:
        """The same for short trainings, with fewer test images.

        They are drawn at random, since the order of MNIST's test images is not: the first are easier than the last.
        """
        return replace(self, test=self.test.some(QUICK_IMAGES), is_quick=True)

    def limited(self, count: int | None) -> Dataset:
        """The same with so many training images, drawn at random: always the same ones. None stands for all."""
        return self if count is None or count >= len(self.train) else replace(self, train=self.train.some(count))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width
