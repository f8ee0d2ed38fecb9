"""What was measured, as files keep it: whole, of known weights and images, or not at all."""

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pie_cli.data.base import Dataset
from pie_cli.io.files import read_bytes, read_sealed, write_sealed
from pie_cli.io.tensors import digest
from pie_cli.metrics import inception
from pie_cli.metrics.realism import Panel
from pie_cli.plots import figures
from pie_cli.runs.folder import Run

FORMAT = 6  # of evaluation.json; older ones are measured again
ARRAYS = ("sharpness", "plane")  # of an `Evaluation`, kept in evaluation.npz, and its pictures beside them
LARGEST_ARRAYS = 2**28  # bytes of them


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one run."""

    numbers: dict[str, float]  # every figure of merit by name
    audit: dict[str, float]  # mean sharpness of the samples under each convention in use
    sharpness: NDArray[np.float32]  # of each sample, shape (N,)
    plane: NDArray[np.float32]  # UMAP of the test images' codes, (N, 2)
    pictures: Mapping[str, NDArray[np.uint8]]  # what the paper's figures show of it, by name, (…, C, H, W)

    def picture(self, name: str) -> NDArray[np.float32]:
        """Return the images of a name, in [0, 1]."""
        return self.pictures[name].astype(np.float32) / np.float32(255)


def key_of(run: Run, dataset: Dataset, panel: Panel) -> str:
    """Return what an evaluation depends on: its format, the run's configuration and weights, images, classifiers."""
    return f"{_model_of(run)} {judgement_of(dataset, panel)}"


def _model_of(run: Run) -> str:
    """Return the part of a key before the images: the format, the run's configuration and weights."""
    return f"{_training_of(run)} {_sha256(run.read_weights())}"


def _training_of(run: Run) -> str:
    """Return the part of a key before the weights: the format, and the run's configuration."""
    return f"{FORMAT} {_sha256(json.dumps(run.config.to_dict(), sort_keys=True).encode())}"


def judgement_of(dataset: Dataset, panel: Panel) -> str:
    """Return which test images, and which classifiers, a measurement depends on; without classes, whether Inception."""
    if dataset.classes is None:
        return f"{dataset.test.sha256} {'inception' if inception.weights() else 'nobody'}"
    states = (judge.classifier.state_dict() for judge in panel.judges)
    judges = " ".join(digest({name: tensor.cpu() for name, tensor in state.items()}, "") for state in states)
    return f"{dataset.test.sha256} {judges}"


def keep(path: Path, key: str, evaluation: Evaluation) -> None:
    """Write evaluation.json, with a SHA-256 over all that it says, and the arrays beside it."""
    arrays = {**{name: getattr(evaluation, name) for name in ARRAYS}, **evaluation.pictures}
    npz = figures.save_data(path.with_suffix(""), **arrays)
    numbers, audit = without_nan(evaluation.numbers), without_nan(evaluation.audit)
    write_sealed(path, {"key": key, "numbers": numbers, "audit": audit, "arrays": _sha256(npz.read_bytes())})


def kept(path: Path, key: str) -> Evaluation | None:
    """Return what `keep` wrote; None where it is missing, damaged, of other weights or of another configuration."""
    return _kept(path, lambda stored: stored == key)


def recorded(run: Run, dataset: Dataset, panel: Panel) -> Evaluation | None:
    """Return what `keep` wrote of a run whose weights are gone; None as `kept` does."""
    begins, ends = f"{_training_of(run)} ", f" {judgement_of(dataset, panel)}"
    return _kept(run.folder / "evaluation.json", lambda stored: stored.startswith(begins) and stored.endswith(ends))


def known(run: Run) -> Evaluation | None:
    """Return what `keep` wrote of these weights, whatever the images and classifiers; None as `kept` does."""
    begins = f"{_model_of(run)} "
    return _kept(run.folder / "evaluation.json", lambda stored: stored.startswith(begins))


def _kept(path: Path, expected: Callable[[str], bool]) -> Evaluation | None:
    try:
        stored, content = read_sealed(path), read_bytes(path.with_suffix(".npz"), LARGEST_ARRAYS)
        if not expected(stored["key"]) or _sha256(content) != stored["arrays"]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > LARGEST_ARRAYS:
                return None
            each, plane = (arrays[name] for name in ARRAYS)
            pictures = {name: arrays[name] for name in arrays.files if name not in ARRAYS}
        return Evaluation(with_nan(stored["numbers"]), with_nan(stored["audit"]), each, plane, pictures)
    except Exception:  # whatever is wrong with it, it can be made again
        return None


def remembered(path: Path, key: str, measure: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """Return numbers from a file that has them under this key; otherwise measure them, and keep them there."""
    try:
        stored = read_sealed(path)
        if stored["key"] == key:
            return with_nan(stored["numbers"])
    except Exception:  # noqa: S110  # whatever is wrong with it, it can be made again
        pass
    numbers = dict(measure())
    write_sealed(path, {"key": key, "numbers": without_nan(numbers)})
    return numbers


def without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON knows them, which has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return numbers as they were before `without_nan`."""
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
