"""What the page of a run and a model's card tell of the images: whose those of a named set are, and nobody's place."""

from dataclasses import replace
from typing import NamedTuple

from pie_cli.config.naming import RESULTS, train_command
from pie_cli.config.run import RunConfig
from pie_cli.data.base import DatasetName
from pie_cli.io.text import one_line


class Origin(NamedTuple):
    """Where a set comes from."""

    licence: str  # with its owner
    page: str
    on_the_hub: str | None = None  # what the Hub calls it, where it has it


ORIGINS: dict[DatasetName, Origin] = {
    "mnist": Origin(
        "MNIST: Yann LeCun and Corinna Cortes, CC BY-SA 3.0", "http://yann.lecun.com/exdb/mnist/", "ylecun/mnist"
    ),
    "digits": Origin(
        "Optical recognition of handwritten digits: E. Alpaydin and C. Kaynak, CC BY 4.0",
        "https://archive.ics.uci.edu/dataset/80",
    ),
    "fashion-mnist": Origin(
        "Fashion-MNIST: Zalando SE, MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        "zalando-datasets/fashion_mnist",
    ),
    "kmnist": Origin("KMNIST: Center for Open Data in the Humanities, CC BY-SA 4.0", "http://codh.rois.ac.jp/kmnist/"),
    "cifar10": Origin(
        "CIFAR-10: Alex Krizhevsky; no licence is stated",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "uoft-cs/cifar10",
    ),
    "svhn": Origin(
        "SVHN: Stanford University, for non-commercial use",
        "http://ufldl.stanford.edu/housenumbers/",
        "ufldl-stanford/svhn",
    ),
}


def origin_of(dataset: str | None) -> Origin | None:
    """Return where a set comes from; None for images of one's own."""
    return next((origin for name, origin in ORIGINS.items() if name == dataset), None)


def command_of(config: RunConfig) -> str:
    """Return the command that trains a run, on one line, without the place where one's own images lay."""
    return one_line(train_command(replace(config, images=None), RESULTS))
