"""What a run trains, and how: all that decides the final weights. config.json and every file of weights record it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len

from pie_cli.config.recipes import RECIPES, Recipe
from pie_cli.data.base import DATASETS, DataConfig
from pie_cli.errors import UsageError
from pie_cli.models.config import ModelConfig, PIEConfig, RAEConfig, VAEConfig, WAEConfig
from pie_cli.settings import Count, Noise, Positive, S, Seed, Settings, Share, Weight, build, setting

FORMAT = 1  # of the run folder; a folder of a newer format is refused, not misread
FULL_EPOCHS = 10  # a run with fewer is called quick wherever it is shown
QUICK_TRAIN_IMAGES = 20_000  # that the quick profile trains on; two cores then take less than ten minutes from nothing
ANNEAL_FROM = 0.1  # ε₀² at which an annealed training starts
# Peaks of the one-cycle schedule, chosen by validation MSE.
LEARNING_RATES = {"pie": 2e-3, "vae": 1e-2, "wae": 1e-2, "rae": 1e-2}
ANNEAL = 0.6  # share of PIE's steps in which ε₀² and the noise reach their final values

ModelName = Literal["pie", "vae", "wae", "rae"]
CONFIGS: dict[str, type[ModelConfig]] = {"pie": PIEConfig, "vae": VAEConfig, "wae": WAEConfig, "rae": RAEConfig}


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """How a model is trained; everything that decides the final weights is here or in the model's configuration.

    A field that is None follows from the model; `RunConfig.resolved` has its value.
    """

    dataset: Annotated[str, Len(1, 255)] = setting(
        "mnist", "Images: the name of a set, or what one's own are called.", option=False
    )
    epochs: Annotated[int, Ge(1), Le(1_000_000)] = setting(FULL_EPOCHS, "Passes over the training images.", name="")
    train_images: Count | None = setting(
        None, "Train on so many of the images, always the same ones.", name="", default_text="all", added=None
    )
    batch_size: Count = setting(128, "Images per step, over all devices.", name="")
    lr: Positive | None = setting(
        None,
        "Peak of the one-cycle learning rate.",
        name="",
        default_text=", ".join(f"{rate} for {name}" for name, rate in LEARNING_RATES.items()),
    )
    seed: Seed = setting(0, "Seed of the training: weights, order, noise.")
    # With less noise than ε₀², a flow gains likelihood by stretching the empty background up to ε₀².
    noise: Noise | None = setting(
        None,
        "Variance of the noise on training images, in the units of `eps2`.",
        default_text="`eps2` for PIE, 0 for the others",
    )
    dequantise: bool | None = setting(
        None, "Add uniform noise of one grey level: the likelihood is of continuous values.", default_text="on for PIE"
    )
    init: Literal["pca", "random"] | None = setting(
        None,
        "Start PIE's rotations from the data's principal axes, or at random.",
        default_text="pca for PIE",
        models=("pie",),
    )
    grad_clip: Positive = setting(1.0, "Bound on the gradient's norm.", name="clip")
    anneal: Share | None = setting(
        None,
        f"Share of the steps over which PIE's ε₀² falls from {ANNEAL_FROM:g} to a lower `eps2`, and the noise with it.",
        default_text=f"{ANNEAL:g} for PIE",
        models=("pie",),
        added=0.0,
    )
    reconstruction_start: Weight = setting(
        0.0,
        "Like `reconstruction`, but the weight falls to 0 while ε₀² is annealed; the loss is then the paper's.",
        name="recstart",
        models=("pie",),
        added=0.0,
    )
    # Validation, like everything after training, is in float32.
    precision: Literal["32-true", "bf16-mixed"] = setting(
        "32-true", "float32, or float32 with the networks in bfloat16.", added="32-true"
    )

    @property
    def length(self) -> str:
        """How long the training is, in words, and of how many images where their number is limited."""
        return in_epochs(self.epochs) + (f" of at most {self.train_images:,} images" if self.train_images else "")


def _opened(settings: S, derived: dict[str, Any]) -> S:
    """Return the settings with None for each value that is the derived one."""
    return replace(settings, **{name: None for name, value in derived.items() if getattr(settings, name) == value})


def in_epochs(epochs: int) -> str:
    """Return how long a training is, in words."""
    return f"{epochs} epoch{'s' if epochs > 1 else ''}"


@dataclass(frozen=True)
class RunConfig:
    """What a run trains, and how. Raises ValueError, naming a field, if model and training do not go together."""

    model: ModelConfig
    training: TrainingConfig | None  # as given, see `resolved`; None if trained elsewhere
    recipe: Recipe = "stable"  # the set of defaults that it starts from
    data: DataConfig | None = None  # which images they are, if they are one's own
    images: str | None = None  # where one's own lay; two runs of the same images in two places are the same

    def __post_init__(self) -> None:
        pie, given = self.model, self.training
        if given is not None and (given.dataset in DATASETS) == (self.data is not None):
            known = f"dataset must be one of {', '.join(DATASETS)}, got {given.dataset!r}"
            raise ValueError(f"{known}; of one's own images it must be known which they are")
        if given is not None and not re.fullmatch(r"[^/\\\0]+", given.dataset):  # it is part of a folder's name
            raise ValueError(f"dataset must be a name without slashes, got {given.dataset!r}")
        if not isinstance(pie, PIEConfig):
            self._check_that_nothing_is_of_pie()
            return
        if given is None:
            return
        if pie.learn_eps2 and given.anneal:
            raise ValueError("`learn_eps2` and `anneal` both change ε₀²; give one of them")
        start, falls = given.reconstruction_start, "`reconstruction_start` falls"
        if start and pie.reconstruction:
            raise ValueError(f"{falls} to 0 and `reconstruction` stays; give one of them")
        if start and not (self.resolved.anneal and pie.eps2 < ANNEAL_FROM):
            needed = f"an `eps2` below {ANNEAL_FROM:g} and an `anneal` above 0"
            raise ValueError(f"{falls} while ε₀² is annealed: it needs {needed}")

    def _check_that_nothing_is_of_pie(self) -> None:
        """Raise ValueError if the recipe or a setting of the training is for PIE only."""
        if self.recipe != "stable":
            raise ValueError(f"`recipe` {self.recipe} is for PIE only")
        for one in fields(TrainingConfig) if self.training else ():
            value = getattr(self.training, one.name)
            if "models" in one.metadata and value not in (None, one.default, self._derived().get(one.name)):
                raise ValueError(f"`{one.name}` is for PIE only")

    @property
    def model_name(self) -> str:
        """The name of the model, one of `CONFIGS`."""
        return next(name for name, kind in CONFIGS.items() if type(self.model) is kind)

    def _derived(self) -> dict[str, Any]:
        """Return the values that follow from the model, for the settings that may be None."""
        pie = self.model if isinstance(self.model, PIEConfig) else None
        return {
            "lr": LEARNING_RATES[self.model_name],
            "noise": pie.eps2 if pie else 0.0,
            "dequantise": pie is not None,
            "init": "pca" if pie else "random",
            "anneal": ANNEAL if pie and not pie.learn_eps2 else 0.0,
        }

    @cached_property  # every training step reads it
    def resolved(self) -> TrainingConfig:
        """How the model is trained, with the values that follow from the model instead of None.

        Raises UsageError if the model was trained elsewhere, since nothing is known of its training.
        """
        if (given := self.training) is None:
            raise UsageError("this model was trained elsewhere; its images and epochs are not known")
        return replace(given, **{k: v for k, v in self._derived().items() if getattr(given, k) is None})

    @property
    def dataset(self) -> str | None:
        """What the images are called that the model was trained on; None if they are not known."""
        return self.training.dataset if self.training else None

    @property
    def quick(self) -> bool:
        """Whether the training is shorter than a full one; every figure and table says so."""
        training = self.training
        return training is not None and (training.epochs < FULL_EPOCHS or training.train_images is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return what is trained: every value resolved, and ε₀ beside ε₀², since other programs take ε₀.

        config.json holds this, and `images` beside it.
        """
        model = {"name": self.model_name, **self.model.resolved()}
        if isinstance(self.model, PIEConfig):
            model |= {"eps0": math.sqrt(self.model.eps2)}
        training = asdict(self.resolved) if self.training else None
        if training and training["train_images"] is None:  # as in the files from before there was a choice
            del training["train_images"]
        value = {"format": FORMAT, "recipe": self.recipe, "model": model, "training": training}
        value |= {"data": asdict(self.data)} if self.data else {}
        return dict(json.loads(json.dumps(value)))  # tuples become lists, as when the file is read

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunConfig:
        """Return the configuration that `to_dict` described.

        Raises ValueError if it has another format, or a field is missing, unknown or of a wrong type or value.
        """
        if value.get("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT} (written by a newer version of this program?)")
        parts, recipe = value.keys() - {"recipe", "data", "images"}, value.get("recipe", "stable")
        if parts != {"format", "model", "training"} or not isinstance(value["training"], dict | None):
            raise ValueError("its parts are not those of a run's configuration")
        model = dict(value["model"]) if isinstance(value["model"], dict) else {}
        name = model.pop("name", None)
        if name not in list(CONFIGS):
            raise ValueError(f"its model is not one of {', '.join(CONFIGS)}")
        if recipe not in list(RECIPES):
            raise ValueError(f"its recipe is not one of {', '.join(RECIPES)}")
        model.pop("eps0", None)
        if name == "pie":  # older files have one contraction for all blocks
            model.setdefault("linear_contraction", model.get("contraction"))
        training = build(TrainingConfig, value["training"]) if value["training"] is not None else None
        data = build(DataConfig, value["data"]) if "data" in value else None
        if not isinstance(images := value.get("images"), str | None):
            raise ValueError("its images are not a path")
        return cls(build(CONFIGS[name], model), training, recipe, data, images).unresolved()

    def unresolved(self) -> RunConfig:
        """Return the same configuration, with None for each value that would follow anyway.

        Replacing a value in it then has the same consequences as in a new configuration.
        """
        training = _opened(self.training, self._derived()) if self.training else None
        return replace(self, model=_opened(self.model, self.model.derived()), training=training)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunConfig) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_dict()))

    def matches(self, value: Any) -> bool:
        """Return whether a file's `value` describes this configuration, even if an older program wrote it."""
        try:
            return isinstance(value, dict) and RunConfig.from_dict(value) == self
        except ValueError:
            return False

    def differences(self, other: RunConfig) -> list[str]:
        """Return the fields that differ, as "lr: 0.001, now 0.002"."""
        parts = ((c.recipe, c.to_dict()) for c in (self, other))
        old, new = (
            {"recipe": recipe, **of["model"], **(of["training"] or {}), **of.get("data", {})} for recipe, of in parts
        )
        return [f"{key}: {old.get(key)}, now {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]
