"""The sets that have a name, in their three parts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pie_cli.data import cifar
from pie_cli.data.base import Dataset, ImageSet
from pie_cli.data.digits import DIGITS, load_digits
from pie_cli.data.idx import load_packed
from pie_cli.data.mnist import load_mnist
from pie_cli.data.svhn import load_svhn

# The last of the training images: of 60,000, of CIFAR-10's 50,000, and of SVHN's 73,257. No set comes with a validation
# set of its own, so SVHN gets as many as the others.
VALIDATION = 5_000

# The functions return training images, test images and where these came from; beside them are the classes' names.
Load = Callable[[Path, bool, Callable[[str], None]], tuple[ImageSet, ImageSet, str]]
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
LOADS: dict[str, tuple[Load, tuple[str, ...]]] = {
    "mnist": (load_mnist, DIGITS),
    "fashion-mnist": (partial(load_packed, "FashionMNIST"), CLOTHES),
    "kmnist": (partial(load_packed, "KMNIST"), ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    "cifar10": (cifar.load_cifar10, cifar.CLASSES),
    "svhn": (load_svhn, DIGITS),
}


def classes_named(name: str) -> tuple[str, ...] | None:
    """Return the names of the classes of one of `DATASETS`; None for any other name."""
    return DIGITS if name == "digits" else LOADS[name][1] if name in LOADS else None


def load_named(name: str, data_dir: Path, offline: bool, report: Callable[[str], None]) -> Dataset:
    """Return one of `DATASETS`, from files in `data_dir` or fetched into it.

    `offline` opens no connection. `report` gets a line for each source that is tried. Raises PIEError with what to do
    if the data are altered or unavailable.
    """
    if name == "digits":
        return load_digits()
    load, classes = LOADS[name]
    training, test, source = load(data_dir, offline, report)
    return Dataset(name, source, training[:-VALIDATION], training[-VALIDATION:], test, classes)
