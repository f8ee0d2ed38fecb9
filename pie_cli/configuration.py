"""What a run trains, and how: all that decides the final weights, as config.json and every file of weights say it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pie_cli.data import DATASETS
from pie_cli.fields import build
from pie_cli.models import CONFIGS, ModelConfig, model_name
from pie_cli.paper import DEFAULT_EPOCHS, LARGEST_VARIANCE
from pie_cli.pie import PIEConfig

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
        anneal: share of the steps in which ε₀² falls from 0.1 to its final value, where that is lower, and the noise in
            proportion: coarse to fine; 0 has them there from the start. Only for a PIE.
        reconstruction_start: weight, in the loss, of the squared error of decoding from z alone where annealing starts;
            it falls linearly to 0 until annealing ends: then, and with 0 throughout, the loss is the paper's.
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
    reconstruction_start: float = 0.0
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
        if not (math.isfinite(self.reconstruction_start) and self.reconstruction_start >= 0):
            raise ValueError(f"reconstruction_start must be finite and not negative, got {self.reconstruction_start}")
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
        """The run folder's name: model, data set if it is not MNIST, d, ε₀², what is outside the paper, and seed."""
        parts = [model_name(self.model)]
        if self.training.dataset != "mnist":
            parts.append(self.training.dataset)
        parts.append(f"d{self.model.latent_dim}")
        if isinstance(self.model, PIEConfig):
            parts.append(f"eps{self.model.eps2:g}")
            if self.model.learn_eps2:
                parts.append("learned")
            if self.model.reconstruction:
                parts.append(f"rec{self.model.reconstruction:g}")
            if self.training.reconstruction_start:
                parts.append(f"recstart{self.training.reconstruction_start:g}")
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
        added = {}
        if kind is PIEConfig:
            added = {"reconstruction": 0.0, "learn_eps2": False, "linear_contraction": model.get("contraction")}
        training = {"precision": "32-true", "anneal": 0.0, "reconstruction_start": 0.0, **value["training"]}
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
