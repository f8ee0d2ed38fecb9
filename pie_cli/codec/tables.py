"""Tables of whole numbers under which symbols are coded: fitted once on training images, stored with the run.

They lie in `coding.safetensors` beside the weights. A compressed file names the SHA-256 of the weights and of these
tables together, so it is decoded with both or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_cli.codec.coder import SYMBOLS, TOTAL
from pie_cli.errors import PIEError, UnusableRun
from pie_cli.io.tensors import check_tensors, digest, load_tensors, save_tensors
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import CODING

_AGAIN = "put a good copy in its place, as files made with it need; without it, the next compression makes another"

CLASSES = 64  # of standard deviations, four in each octave
LARGEST_DEVIATION = 2**20  # of a step; beyond it, nothing is a variable of a trained model

# The network that predicts a pixel from what is decoded already.
CAUSAL = (*((dy, dx) for dy in (-3, -2, -1) for dx in range(-3, 4)), (0, -1), (0, -2), (0, -3))
AROUND = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
HIDDEN = 96  # units of both layers
ABSOLUTE, RELATIVE = 32, 8  # component distributions: of the pixel itself, and of its distance from a prediction
WEIGHTS = 768  # what the weights of all components add up to
COMPONENT = 21845  # what the frequencies of a component add up to: WEIGHTS · COMPONENT + SYMBOLS = 2²⁴
STEEPNESS = 128  # largest difference of logits, in sixteenths of a nat
EXACT = 2**24  # up to which float32 counts

assert WEIGHTS * COMPONENT + SYMBOLS == TOTAL


def features_of(channel: int) -> int:
    """Return how many known pixels predict one of a channel, the decoded image's around it included."""
    return len(CAUSAL) + channel * len(AROUND) + len(AROUND)


def _shapes(config: PIEConfig) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Return type and shape of every table of a configuration."""
    channels, height, width = config.image_shape
    numbers, keeps, parts = channels * height * width, len(config.residual_sizes) + 1, ABSOLUTE + RELATIVE
    small, large = torch.int16, torch.int32
    shapes = {
        "steps": (torch.float32, (numbers,)),
        "classes": (small, (numbers,)),
        "frequencies": (large, (2, CLASSES, SYMBOLS)),
        "exp": (small, (STEEPNESS + 1,)),
    }
    for c in range(channels):
        known = features_of(c) - len(AROUND)
        shapes |= {
            f"pixels.{c}.known": (small, (known, HIDDEN)),
            f"pixels.{c}.decoded": (small, (keeps, len(AROUND), HIDDEN)),
            f"pixels.{c}.row": (large, (height, HIDDEN)),
            f"pixels.{c}.column": (large, (width, HIDDEN)),
            f"pixels.{c}.middle": (small, (HIDDEN, HIDDEN)),
            f"pixels.{c}.middle_bias": (large, (keeps, HIDDEN)),
            f"pixels.{c}.last": (small, (HIDDEN, parts)),
            f"pixels.{c}.last_bias": (large, (keeps, parts)),
            f"pixels.{c}.components": (small, (parts, SYMBOLS)),
            f"pixels.{c}.prediction": (large, (keeps, features_of(c) + 1)),
        }
    return shapes


@dataclass(frozen=True)
class Tables:
    """Everything beside the model that decodes a compressed file, as docs/FORMAT.md describes it.

    Arguments:
        weights: SHA-256 of the weights that the tables were fitted with.
        tensors: the tables by name.
    """

    weights: str
    tensors: dict[str, Tensor]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return a table in float32, which counts exactly what it is used for."""
        return self.tensors[name].numpy().astype(np.float32)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of weights and tables, which compressed files name."""
        return hashlib.sha256((self.weights + digest(self.tensors, "")).encode()).hexdigest()

    def check(self, config: PIEConfig) -> Self:
        """Return the tables. Raises ValueError unless they are those of a configuration, and decode the same anywhere.

        Whatever their values are, the sums that they lead to must be whole numbers that float32 counts exactly.
        """
        check_tensors(
            self.tensors, {name: torch.empty(shape, dtype=dtype) for name, (dtype, shape) in _shapes(config).items()}
        )
        tensors = {name: tensor.double() for name, tensor in self.tensors.items()}
        classes, steps = tensors["classes"], tensors["steps"]
        _require((classes >= 0).all() & (classes < CLASSES).all(), "classes")
        _require((steps > 0).all(), "steps")
        _require(_adds_up(tensors["frequencies"], TOTAL - SYMBOLS), "frequencies")
        _require((tensors["exp"] >= 0).all() & (tensors["exp"][0] > 0), "exp")
        for c in range(config.image_shape[0]):
            _check_network({name.split(".")[2]: t for name, t in tensors.items() if name.startswith(f"pixels.{c}.")})
        return self

    def save(self, folder: Path) -> None:
        """Write the tables into a run folder. Raises FolderError if that is not possible."""
        save_tensors(folder / CODING, self.tensors, {"weights": self.weights})


def _require(true: bool | Tensor, name: str) -> None:
    if not true:
        raise ValueError(f"the table {name!r} has values that no file is coded under")


def _adds_up(frequencies: Tensor, total: int) -> bool:
    return bool((frequencies >= 0).all() and (frequencies.sum(-1) == total).all())


def _check_network(t: dict[str, Tensor]) -> None:
    """Raise ValueError if a sum in a network could be one that float32 does not count."""
    of_known, of_decoded = 255 * t["known"].abs().sum(0), 255 * t["decoded"].abs().sum(1).amax(0)
    first = of_known + of_decoded + t["row"].abs().amax(0) + t["column"].abs().amax(0)
    _require(first.max() < EXACT, "known")
    _require((255 * t["middle"].abs().sum(0) + t["middle_bias"].abs().amax(0)).max() < EXACT, "middle")
    _require((255 * t["last"].abs().sum(0) + t["last_bias"].abs().amax(0)).max() < EXACT, "last")
    sums = 255 * t["prediction"][:, :-1].abs().sum(1) + t["prediction"][:, -1].abs()
    _require(sums.max() < EXACT, "prediction")
    _require(_adds_up(t["components"], COMPONENT), "components")


def weights_digest(model: PIE) -> str:
    """Return the SHA-256 of a model's weights in float32, in whatever type and place it computes."""
    return digest({name: tensor.detach().float().cpu() for name, tensor in model.state_dict().items()}, "")


def check_weights(model: PIE, tables: Tables) -> None:
    """Raise PIEError if tables were fitted with other weights: with those, what is decoded would be other images."""
    if tables.weights != weights_digest(model):
        raise PIEError("the tables belong to other weights than the model's; fit its own: fit_tables(model, images)")


def load_tables(folder: Path, config: PIEConfig) -> Tables:
    """Return the tables in a run folder. Raises PIEError if they are missing, damaged or of another configuration."""
    path = folder / CODING
    try:
        tensors, metadata = load_tensors(path)
        return Tables(str(metadata.get("weights")), tensors).check(config)
    except UnusableRun as error:
        raise PIEError(f"{error.problem}; {_AGAIN}") from error
    except ValueError as error:
        raise PIEError(f"{path} has no tables of this model ({error}); {_AGAIN}") from error


def tables_of(model: PIE) -> Tables:
    """Return the tables that lie in the run folder from which a model was loaded. Raises PIEError if there are none."""
    if model.folder is None or not (model.folder / CODING).exists():
        where = "the model comes from no run folder" if model.folder is None else f"{model.folder} has no {CODING}"
        raise PIEError(f"{where}; fit tables on training images with fit_tables(model, images), and pass them")
    tables = load_tables(model.folder, model.config)
    if tables.weights != weights_digest(model):
        raise PIEError(f"{model.folder / CODING} belongs to other weights; {_AGAIN}")
    return tables
