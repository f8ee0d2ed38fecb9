"""A run folder: what was trained, on what, with which result.

config.json            the resolved configuration
weights.safetensors    the trained model; present once training has finished
checkpoint.safetensors everything that an interrupted training needs to go on; removed when it has finished
checkpoint.previous.safetensors  the one before, for when the newest is damaged; removed likewise
metrics.csv            one row an epoch
provenance.json        versions, commit, machine, command, wall time
figures/               what the figure commands draw
.lock                  locked by the process that trains or evaluates here; empty, and left where it is
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from pie_cli.autoencoder import Autoencoder
from pie_cli.data import DATASETS
from pie_cli.errors import PIEError
from pie_cli.fields import build
from pie_cli.files import write_json
from pie_cli.locks import lock
from pie_cli.models import CONFIGS, ModelConfig, model_name, restore_model
from pie_cli.paper import DEFAULT_EPOCHS, LARGEST_VARIANCE
from pie_cli.pie import PIEConfig
from pie_cli.reading import LARGEST_JSON, read_bytes, read_json
from pie_cli.tensorfiles import Metadata, Tensors, UnusableFile, load_newest, load_tensors, save_tensors

FORMAT = 1  # of the run folder; a folder of a newer format is refused, not misread

Init = Literal["pca", "random"]
Precision = Literal["32-true", "bf16-mixed"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; everything that decides the final weights is here or in the model's configuration.

    Arguments:
        dataset: name of the image set.
        epochs: passes over the training images.
        batch_size: images in a step, in all processes together.
        lr: peak learning rate of the one-cycle schedule.
        seed: of the weights, the order of the images and all noise.
        noise: variance of the Gaussian noise on the training images, in units of images scaled to [−1, 1].
        dequantise: whether uniform noise of one grey level is added, so that a density exists.
        init: start from the data's principal axes ("pca", for a PIE) or at random.
        grad_clip: bound on the gradient's norm.
        anneal: share of the steps in which ε₀² and the noise fall together from 0.1 to their final values, coarse
            to fine; 0 has them there from the start. Only for a PIE.
        precision: float32 throughout ("32-true"), or the networks in bfloat16 under autocast ("bf16-mixed");
            validation, as everything after training, is in float32.

    Raises:
        ValueError: naming the field that is wrong.
    """

    dataset: str = "mnist"
    epochs: int = DEFAULT_EPOCHS
    batch_size: int = 128
    lr: float = 2e-3
    seed: int = 0
    noise: float = 0.0
    dequantise: bool = False
    init: Init = "random"
    grad_clip: float = 1.0
    anneal: float = 0.0
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("lr", "grad_clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.noise <= LARGEST_VARIANCE:
            raise ValueError(f"noise is a variance and must lie between 0 and {LARGEST_VARIANCE:g}, got {self.noise}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must lie between 0 and 2147483647, got {self.seed}")
        if not 0 <= self.anneal <= 1:
            raise ValueError(f"anneal must lie in [0, 1], got {self.anneal}")
        choices_of = {"dataset": DATASETS, "init": get_args(Init), "precision": get_args(Precision)}
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")


def in_epochs(epochs: int) -> str:
    """Return how long a training is, in words."""
    return f"{epochs} epoch{'s' if epochs > 1 else ''}"


@dataclass(frozen=True)
class RunConfig:
    """What a run trains, and how."""

    model: ModelConfig
    training: TrainingConfig

    @property
    def name(self) -> str:
        """The run folder's name: model, data set if it is not MNIST, d, ε₀² and seed."""
        parts = [model_name(self.model)]
        if self.training.dataset != "mnist":
            parts.append(self.training.dataset)
        parts.append(f"d{self.model.latent_dim}")
        if isinstance(self.model, PIEConfig):
            parts.append(f"eps{self.model.eps2:g}")
        parts.append(f"seed{self.training.seed}")
        return "-".join(parts)

    @property
    def quick(self) -> bool:
        """Whether the training is shorter than a full one, which every figure and table says."""
        return self.training.epochs < DEFAULT_EPOCHS

    @property
    def label(self) -> str:
        """What figures and tables call this run."""
        return f"{self.name}, {in_epochs(self.training.epochs)}{' (quick run)' if self.quick else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json holds; ε₀ stands beside ε₀², since other codes take a standard deviation."""
        model = {"name": model_name(self.model), **asdict(self.model)}
        if isinstance(self.model, PIEConfig):
            model["eps0"] = math.sqrt(self.model.eps2)
        value = {"format": FORMAT, "model": model, "training": asdict(self.training)}
        return dict(json.loads(json.dumps(value)))  # tuples become lists, as when it is read again

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunConfig:
        """Return the configuration that `to_dict` described.

        Raises:
            ValueError: where it has another format, or a field is missing, unknown or of a wrong type or value.
        """
        if value.get("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT} (written by a newer version of this program?)")
        if value.keys() != {"format", "model", "training"} or not isinstance(value["training"], dict):
            raise ValueError("it has other parts than the configuration of a run")
        model = dict(value["model"]) if isinstance(value["model"], dict) else {}
        name = model.pop("name", None)
        if name not in list(CONFIGS):
            raise ValueError(f"its model is none of {', '.join(CONFIGS)}")
        kind = CONFIGS[name]
        model.pop("eps0", None)
        # What runs had before they could choose.
        added = {"reconstruction": 0.0, "learn_eps2": False} if kind is PIEConfig else {}
        training = {"precision": "32-true", "anneal": 0.0, **value["training"]}
        try:
            return cls(build(kind, {**added, **model}), build(TrainingConfig, training))
        except OverflowError as error:  # an integer beyond all floats
            raise ValueError("it has a number that is too large") from error

    def matches(self, value: Any) -> bool:
        """Return whether a file's `value` describes this configuration, be it of an older program."""
        try:
            return isinstance(value, dict) and RunConfig.from_dict(value) == self
        except ValueError:
            return False

    def differences(self, other: RunConfig) -> list[str]:
        """Return the fields that differ, as "lr: 0.001, now 0.002"."""
        old, new = ({**c["model"], **c["training"]} for c in (self.to_dict(), other.to_dict()))
        return [f"{key}: {old.get(key)}, now {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]


@dataclass(frozen=True)
class Run:
    """A run folder and its configuration.

    Example:
        >>> run = Run.open(Path("results/pie-d10-eps0.01-seed0"))
        >>> model = run.load_model()
    """

    folder: Path
    config: RunConfig

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Return the run that lies in `folder`.

        Raises:
            PIEError: if there is none, or its config.json cannot be understood.
        """
        path = folder / "config.json"
        try:
            return cls(folder, RunConfig.from_dict(read_json(path)))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PIEError(f"{folder} is not a run folder: it has no config.json") from error
        except OSError as error:
            raise PIEError(f"cannot read {path}: {error.strerror or error}; mend that") from error
        except ValueError as error:
            raise PIEError(f"{path} cannot be understood: {error}; train again with --overwrite") from error

    def create(self) -> None:
        """Make the folder and write config.json."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "config.json", self.config.to_dict())

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from training here within the block, which may contain another such block.

        It is freed when the process dies, whatever the reason; `locks` says which file systems that needs. Whoever only
        reads, or only adds an evaluation or a figure, takes no lock.

        Raises (on entering):
            Held: if another process trains or evaluates the run.
            PIEError: if the folder cannot be made or locked.
        """
        held = f"another process is training or evaluating {self.folder}; wait for it, or choose another --results-dir"
        return lock(self.folder / ".lock", held)

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def previous_checkpoint(self) -> Path:
        return self.folder / "checkpoint.previous.safetensors"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run, of whatever configuration."""
        return (self.folder / "config.json").exists()

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end."""
        return self.weights.exists()

    @property
    def evaluated(self) -> bool:
        """Whether it is trained and its figures of merit lie there (`evaluation.evaluate` checks that they fit)."""
        return self.finished and (self.folder / "evaluation.json").exists()

    @property
    def epochs_done(self) -> int:
        """How many epochs the training has come to the end of, whoever trains; 0 where the file does not say."""
        try:
            rows = read_bytes(self.folder / "metrics.csv", LARGEST_JSON).count(b"\n") - 1
        except (OSError, ValueError):
            return 0
        return min(max(rows, 0), self.config.training.epochs)

    @property
    def files(self) -> list[Path]:
        """All files that a training writes, its two checkpoints for a while."""
        names = ("config.json", "metrics.csv", "provenance.json", "learning_curve.pdf", "learning_curve.png")
        return [*(self.folder / name for name in names), self.checkpoint, self.previous_checkpoint, self.weights]

    def clear(self) -> None:
        """Remove what a training wrote and the figures drawn from it, so that it can start anew."""
        for path in (*self.files, *self.folder.glob("evaluation.*"), *self.figures.glob("*")):
            path.unlink(missing_ok=True)

    def save_weights(self, model: Autoencoder) -> None:
        """Write weights.safetensors, the configuration inside it."""
        save_tensors(self.weights, model.state_dict(), self.config.to_dict())

    def load_model(self, device: torch.device | str = "cpu") -> Autoencoder:
        """Return the trained model in eval mode.

        Raises:
            PIEError: if training has not finished, or the weights are damaged or of another run.
        """
        if not self.finished:
            raise PIEError(f"{self.folder} has no weights yet: its training has not finished; go on with --resume")
        tensors, metadata = load_tensors(self.weights)
        if not self.config.matches(metadata):
            other = f"another configuration than {self.folder / 'config.json'}"
            raise PIEError(f"{self.weights} belongs to {other}; put back what was changed, or train with --overwrite")
        try:
            model = restore_model(self.config.model, tensors)
        except ValueError as error:
            raise UnusableFile(self.weights, f"not of the model that its configuration describes ({error})") from error
        return model.eval().to(device)

    def save_checkpoint(self, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
        """Write checkpoint.safetensors, the configuration inside it; the one before it stays beside it."""
        save_tensors(self.checkpoint, tensors, {"config": self.config.to_dict(), **metadata}, self.previous_checkpoint)

    def load_checkpoint(
        self, check: Callable[[Tensors, Metadata], None], report: Callable[[str], None]
    ) -> tuple[Tensors, Metadata] | None:
        """Return the newest good checkpoint (`check` raises ValueError where it is not), or None where there is none.

        `report` is told on one line where the newest is bad, and from which step the training goes on. Raises PIEError
        if all that are there are bad, or one belongs to another configuration.
        """

        def belongs(path: Path, tensors: Tensors, metadata: Metadata) -> None:
            if "config" not in metadata:
                raise ValueError("it is no checkpoint")
            if not self.config.matches(metadata["config"]):
                raise PIEError(f"{path} belongs to another configuration than the run; use --overwrite")
            check(tensors, metadata)

        found = load_newest((self.checkpoint, self.previous_checkpoint), belongs)
        if found is None:
            return None
        tensors, metadata, problem = found
        if problem:
            report(f"{problem}; going on from the checkpoint before it, of step {metadata['step']}")
        return tensors, metadata

    def remove_checkpoints(self) -> None:
        """Remove both checkpoints, where they are there."""
        for path in (self.checkpoint, self.previous_checkpoint):
            path.unlink(missing_ok=True)

    @property
    def provenance(self) -> dict[str, Any]:
        """What provenance.json says; empty where it is missing. Raises PIEError where it cannot be understood."""
        path = self.folder / "provenance.json"
        try:
            facts = read_json(path)
            if not isinstance(facts.get("wall_seconds", 0.0), (int, float)):
                raise ValueError("wall_seconds is no number")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise PIEError(f"{path} cannot be understood: {error}; put it back or remove it") from error
        return facts


def load_model(run_folder: Path | str, device: torch.device | str = "cpu") -> Autoencoder:
    """Return the trained model of a run folder in eval mode, on the CPU unless `device` says otherwise.

    Raises:
        PIEError: if the folder holds no finished run, or a damaged one.
    """
    return Run.open(Path(run_folder)).load_model(device)
