"""From settings to a run's configuration, and from there to the run's name and the command that trains it."""

import math
import shlex
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from pie_cli.config.recipes import RECIPES, Recipe
from pie_cli.config.run import CONFIGS, RunConfig, TrainingConfig, in_epochs
from pie_cli.data.base import IMAGE_SHAPES, DataConfig, Preprocessing
from pie_cli.errors import UsageError
from pie_cli.io.text import number
from pie_cli.models.config import PIEConfig

RESULTS = Path("results")  # the default folder of the runs
QUICK = "quick"  # the folder of a quick profile's runs inside


# Settings that have an effect only with one value of another setting: that setting, and the value.
_PARTNERS = {
    "contraction": ("scale", "contractive"),
    "linear_contraction": ("scale", "contractive"),
    "variance": ("likelihood", "gaussian"),
}


def run_config(
    model: str = "pie",
    recipe: Recipe = "stable",
    data: DataConfig | None = None,
    images: str | None = None,
    **settings: Any,
) -> RunConfig:
    """Return the configuration of a run of a model. Raises UsageError, naming the setting that is wrong.

    The settings are fields of the model's configuration and of `TrainingConfig`; None stands for the recipe's default.
    `data` and `images`, for images of one's own, are fields of the `RunConfig`; `image_shape` is given with them.
    If the given settings leave no annealing, `warm` has no reconstruction penalty and trains as `stable` does.
    Models other than PIE have only one recipe.
    """
    if model not in CONFIGS:
        raise UsageError(f"`model` {model} is unknown; choose one of {', '.join(CONFIGS)}")
    given = {name: value for name, value in settings.items() if value is not None}
    for name in ["recipe"] * (recipe != "stable") + list(given):
        if model not in (models := models_of(name)):
            owners = " and ".join(owner.upper() for owner in models)
            raise UsageError(f"`{name}` is an option of {owners} and does not go with `model` {model}")
    values = {**RECIPES[recipe].settings, **given}
    of_training = {one.name for one in fields(TrainingConfig)}
    try:
        training = TrainingConfig(**{name: value for name, value in values.items() if name in of_training})
        if training.dataset in IMAGE_SHAPES:
            values = {"image_shape": IMAGE_SHAPES[training.dataset], **values}
        sizes = CONFIGS[model](**{name: value for name, value in values.items() if name not in of_training})
        for name, (chooser, needed) in _PARTNERS.items():
            if name in given and (chosen := sizes.resolved()[chooser]) != needed:
                raise UsageError(f"`{name}` is for `{chooser}` {needed} and does not go with `{chooser}` {chosen}")
        return RunConfig(sizes, training, recipe, data, images)
    except ValueError as error:
        if "reconstruction_start" in RECIPES[recipe].settings.keys() - given.keys():
            # The recipe gives way: its penalty lasts as long as the annealing, which the given settings may rule out.
            return run_config(model, recipe, data, images, reconstruction_start=0.0, **given)
        field, _, rest = str(error).partition(" ")
        if field == "image_shape":  # it follows from the images, and is no option
            raise UsageError(f"images {rest}: choose one with `image_size`") from error
        raise UsageError(f"`{field.strip('`')}` {rest}") from error


def models_of(name: str) -> tuple[str, ...]:
    """Return the models that have a setting."""
    training = {one.name: tuple(one.metadata.get("models", CONFIGS)) for one in fields(TrainingConfig)}
    models = tuple(model for model, kind in CONFIGS.items() if name in {one.name for one in fields(kind)})
    return {"recipe": ("pie",), **training}.get(name, models)


def differing(config: RunConfig) -> Iterator[tuple[Field[Any], Any]]:
    """Yield each setting that differs from its recipe's default, with its value; never d, ε₀², data set or seed."""
    config, always = config.unresolved(), {"latent_dim", "eps2", "dataset", "seed", "image_shape"}
    same: dict[str, Any] = {"latent_dim": config.model.latent_dim, "dataset": config.dataset}
    same |= {"eps2": config.model.eps2} if isinstance(config.model, PIEConfig) else {}
    if config.data:  # a shape as large that has defaults: sides that cannot be halved have none
        channels, *sides = config.model.image_shape
        same |= {"image_shape": (channels, *(-(-side // 64) * 64 for side in sides))}
    plain = run_config(config.model_name, config.recipe, config.data, **same)
    pairs = [(config.model, plain.model), *([(config.training, plain.training)] if config.training else [])]
    for ours, default in pairs:
        for one in fields(ours):
            value = getattr(ours, one.name)
            if one.name not in always and value != getattr(default, one.name):
                yield one, getattr(config.resolved, one.name) if value is None else value


def family(config: RunConfig, implied: Recipe = "stable") -> str:
    """Return the name of all runs that differ only in data set and seed: model, d, ε₀², recipe and other changes.

    The `implied` recipe is left out. So is how much a run computes: the sizes of its networks, the length and the steps
    of its training. Runs that differ only in that have the same folder; the second one is refused, with what differs.
    """
    return "-".join([config.model_name, *_what(config, implied)])


def _what(config: RunConfig, implied: Recipe = "stable") -> list[str]:
    """Return the parts of `family` after the model's name."""
    parts = [f"d{config.model.latent_dim}"]
    if isinstance(config.model, PIEConfig):
        parts.append(f"eps{number(config.model.eps2)}")
        parts += [config.recipe] * (config.recipe != implied)  # other models have only one
    return parts + [_part(one, value) for one, value in differing(config) if one.metadata["name"] != ""]


def _part(one: Field[Any], value: Any) -> str:
    label = one.metadata["name"] or one.name.replace("_", "")
    if isinstance(value, bool):
        return label if value else f"no{label}"
    return value if isinstance(value, str) else f"{label}{_text(value, 'x')}"


def _text(value: Any, between: str) -> str:
    """Return a value as text, in the form that an option takes if `between` is a comma."""
    if isinstance(value, tuple):
        return between.join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def run_name(config: RunConfig) -> str:
    """Return the name of the run's folder: `family` with the data set, if that is not MNIST, and the seed."""
    if config.training is None:
        return f"{family(config)}-elsewhere"
    dataset = [config.training.dataset] * (config.training.dataset != "mnist")
    dataset += [_part(one, value) for one, value in _preprocessing(config)]
    return "-".join([config.model_name, *dataset, *_what(config), f"seed{config.training.seed}"])


def run_label(config: RunConfig) -> str:
    """Return what figures and tables call this run."""
    if config.training is None:
        return f"{family(config)}, trained elsewhere"
    quick = " (quick run)" if config.quick else ""
    return f"{run_name(config)}, {in_epochs(config.training.epochs)}{quick}"


def train_command(config: RunConfig, results_dir: Path) -> str:
    """Return the command that trains exactly this run, with an option for each setting that is not its recipe's."""
    model, training = config.model, config.resolved
    chosen = ["--eps2", number(model.eps2)] if isinstance(model, PIEConfig) else ["--model", config.model_name]
    parts = ["pie", "train", *chosen]
    parts += ["--recipe", config.recipe] * (config.recipe != "stable")
    parts += ["--latent-dim", str(model.latent_dim), "--seed", str(training.seed)]
    parts += ["--dataset", config.images or training.dataset] * (training.dataset != "mnist")
    for one, value in [*_preprocessing(config), *differing(config)]:
        if isinstance(value, bool):
            parts.append(flags_of(one)[0 if value else 1])
        else:
            parts += [option_of(one.name), _text(value, ",")]
    parts += ["--skip-unreadable"] * (config.data is not None and config.data.left_out > 0)
    parts += ["--results-dir", str(results_dir)] * (results_dir != RESULTS)
    return shlex.join(parts)


def _preprocessing(config: RunConfig) -> Iterator[tuple[Field[Any], Any]]:
    """Yield each setting of the preprocessing of one's own images that differs from its default, with its value."""
    for one in fields(Preprocessing) if config.data else ():
        if (value := getattr(config.data, one.name)) != one.default:
            yield one, value


def option_of(name: str) -> str:
    """Return the option of a setting."""
    return f"--{name.replace('_', '-')}"


def flags_of(one: Field[Any]) -> tuple[str, str]:
    """Return the options that set a bool to True and to False."""
    return one.metadata.get("flags", (option_of(one.name), option_of(f"no_{one.name}")))


def headline(config: RunConfig) -> str:
    """Return what is about to be trained, on one line."""
    training, parts = config.resolved, [run_name(config)]
    if isinstance(config.model, PIEConfig):
        parts.append(f"ε₀² = {number(config.model.eps2)} (ε₀ = {math.sqrt(config.model.eps2):.3g})")
        parts.append(f"noise variance {number(training.noise or 0.0)}")
    parts.append(f"{in_epochs(training.epochs)} of batches of {training.batch_size}")
    parts += [f"{training.train_images:,} images"] if training.train_images else []
    return ", ".join([*parts, f"learning rate {number(training.lr or 0.0)}, {training.precision}"])
