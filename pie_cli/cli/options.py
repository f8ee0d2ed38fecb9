"""Options of the command line: those derived from settings, and groups that several commands share."""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from pie_cli.cli.console import in_options
from pie_cli.config.naming import RESULTS, flags_of, option_of
from pie_cli.config.recipes import COMPARED, RECIPES, Recipe
from pie_cli.config.run import CONFIGS, FULL_EPOCHS, QUICK_TRAIN_IMAGES, ModelName, TrainingConfig
from pie_cli.data.base import DATASETS, Preprocessing
from pie_cli.io.text import number
from pie_cli.settings import Settings, bounds_of, choices_of, hints_of, plain_type, speaks

TRAINING, MODEL, FILES = "Training", "Model", "Data, files, device"
PANELS = {"reconstruction": TRAINING, "learn_eps2": TRAINING}  # exceptions
LARGEST_SEED = 2**31 - 1

Given = dict[str, Any]  # the options that were given, by name


def opt(help: str, shown: str | bool = True, panel: str | None = None, *names: str, **more: Any) -> Any:
    """Return an option from its help, the default that is shown, its panel, and its names if not the parameter's."""
    return typer.Option(*names, help=help, show_default=shown, rich_help_panel=panel, **more)


def _of_setting(one: Field[Any], hint: Any, panel: str) -> Any:
    """Return the annotation from which Typer makes a setting's option; an option that is not given is None."""
    kind, more, names = plain_type(hint), dict[str, Any](), [option_of(one.name)]
    if kind is bool:
        on, off = flags_of(one)
        names = [f"{on or ' '}/{off}".removesuffix("/")]
    elif kind is int:
        low, high = bounds_of(hint)
        more = {"min": low, "max": None if speaks(hint) else high}
    elif kind not in (float, str) and not choices_of(hint):
        kind, more = str, {"parser": _whole_numbers, "metavar": "N,…"}
    default = number(one.default) if type(one.default) is float else str(one.default)
    shown = in_options(one.metadata.get("default_text", "")) or (
        kind is not bool and one.default is not None and default
    )
    return Annotated[
        kind | None, opt(in_options(one.metadata["help"]), shown, PANELS.get(one.name, panel), *names, **more)
    ]


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError("it must be a comma-separated list of whole numbers") from None


def path_of(text: str) -> Path:
    """Return the path that an option or argument means."""
    if not str(text):
        raise ValueError("it is empty; is a shell variable unset?")
    return Path(text)


def images_of(text: str) -> str:
    """Return the name or path of an image set. Raises ValueError if there is none."""
    if text not in DATASETS and not os.path.exists(text):
        raise ValueError(f"{text!r} is not one of {', '.join(map(repr, DATASETS))}, nor a folder or file")
    return text


def _folder(text: str) -> Path:
    if os.path.isfile(text):
        raise ValueError(f"{text} is a file; give a folder")
    return path_of(text)


_ABOUT = "; ".join(f"{name}: {recipe.about}" for name, recipe in RECIPES.items())
_CHOICES = {
    "model": Annotated[ModelName | None, opt("Kind of model.", "pie", MODEL)],
    "recipe": Annotated[Recipe | None, opt(f"Set of defaults for PIE. {_ABOUT}.", "stable", MODEL)],
}
_KINDS: list[tuple[type[Settings], str]] = [*((kind, MODEL) for kind in CONFIGS.values()), (TrainingConfig, TRAINING)]
_SETTINGS = {
    one.name: _of_setting(one, hints_of(kind)[one.name], panel)
    for kind, panel in _KINDS
    for one in fields(kind)
    if one.metadata["option"]
}
# A run has the one or the other; which one is "auto" depends on the device.
_PRECISION = Annotated[
    Literal["32-true", "bf16-mixed", "auto"] | None,
    opt(
        "float32, or float32 with the networks in bfloat16; auto: bfloat16 if the device computes in it.",
        "32-true",
        TRAINING,
    ),
]
# To train, every setting is an option; to choose a run, those that are always in its name.
TrainSettings = Annotated[Given, _CHOICES | _SETTINGS | {"precision": _PRECISION}]
RunChoice = Annotated[Given, _CHOICES | {name: _SETTINGS[name] for name in ("eps2", "latent_dim", "seed")}]
SuiteChoice = Annotated[
    Given, {"recipe": Annotated[Recipe | None, opt("Train PIE with this recipe alone.", " and ".join(COMPARED), MODEL)]}
]
_NAMES = f"{', '.join(DATASETS[:-1])} or {DATASETS[-1]} (digits need no download)"
ImagesChoice = Annotated[
    Given,
    {
        "dataset": Annotated[
            str | None,
            opt(
                f"Images: {_NAMES}, or the path of your own: a folder, .zip, .npz or .npy.",
                "mnist",
                FILES,
                parser=images_of,
                metavar="NAME|PATH",
            ),
        ],
        **{one.name: _of_setting(one, hints_of(Preprocessing)[one.name], FILES) for one in fields(Preprocessing)},
        "skip_unreadable": Annotated[
            bool | None,
            opt("Leave out files that cannot be read, and say how many.", False, FILES, "--skip-unreadable"),
        ],
    },
]
RunArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[RUN]", help="Run folder, or hf://owner/name; without it, the options choose the run.", parser=path_of
    ),
]
RunsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[RUN]...", help="Run folders; without any, all finished runs.", parser=path_of),
]
_FOLDER: Any = {"parser": _folder, "metavar": "FOLDER"}
ResultsArgument = Annotated[Path, typer.Argument(help="Folder of the runs.", **_FOLDER)]
_STARTED = "1, or as many as torchrun or srun started"


@dataclass(frozen=True)
class RunsPlace:
    """Where the runs are, and where to compute."""

    results_dir: Annotated[Path, opt("Folder of the runs.", True, FILES, **_FOLDER)] = RESULTS
    device: Annotated[
        Literal["auto", "cuda", "mps", "cpu"], opt("auto tries cuda, then mps, then cpu.", True, FILES)
    ] = "auto"


@dataclass(frozen=True)
class Place(RunsPlace):
    """The same, and where the images are."""

    data_dir: Annotated[
        Path | None,
        opt("Folder that has MNIST's files, or to download them into.", "the cache folder", FILES, **_FOLDER),
    ] = None
    offline: Annotated[bool, opt("Open no network connection.", True, FILES, "--offline")] = False


@dataclass(frozen=True)
class FigurePlace(Place):
    """The same for a command that draws, with the folder of its figures."""

    figures_dir: Annotated[
        Path | None, opt("Folder of the figures.", "figures/ in the run's folder", FILES, **_FOLDER)
    ] = None


@dataclass(frozen=True)
class Processes:
    """How a training computes."""

    devices: Annotated[
        int | None,
        opt("Processes on each node, one per GPU; all of them share --batch-size.", _STARTED, FILES, min=1),
    ] = None
    num_nodes: Annotated[int | None, opt("Machines; each runs this command.", _STARTED, FILES, min=1)] = None
    compile: Annotated[
        bool, opt("Use torch.compile: a minute or two the first time, seconds after it.", True, FILES, "--compile")
    ] = False
    recompute: Annotated[
        bool,
        opt("Recompute PIE's activations instead of storing them: less memory, slower.", True, FILES, "--recompute"),
    ] = False


@dataclass(frozen=True)
class Profile:
    """How long runs train, and how many at once."""

    profile: Annotated[
        Literal["quick", "paper"],
        opt(
            f"quick: 1 epoch of {QUICK_TRAIN_IMAGES:,} images per run, in a separate folder quick/, marked quick; "
            f"paper: {FULL_EPOCHS} epochs of all."
        ),
    ] = "quick"
    jobs: Annotated[
        int | None,
        opt("Runs trained at once; on a CPU, with one thread each.", "one per CPU core, or one per GPU", min=1),
    ] = None
    compiled: Annotated[
        bool, opt("Use torch.compile, whose result all runs share; see pie train.", True, None, "--compile")
    ] = False
    scheduler: Annotated[
        str | None,
        opt(
            "Train on a Dask cluster: the address of its scheduler, or local for one on this machine (needs the extra: "
            "cluster).",
            "no cluster",
            metavar="ADDRESS|local",
        ),
    ] = None


def expanded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command with each group among its parameters replaced by the group's options, as Typer reads them.

    A group is a dataclass, and the command gets an instance of it; or a mapping of annotations by name, and the command
    gets the values that were given.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[list[str], Callable[..., Any]]] = {}
    hints: dict[str, Any] = get_type_hints(command, include_extras=True)
    for name, hint in hints.items():
        mapping = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Mapping)), None)
        if mapping is not None:
            groups[name] = list(mapping), _given
            parameters += [_parameter(key, inner, None) for key, inner in mapping.items()]
        elif is_dataclass(hint):
            inner_hints = get_type_hints(hint, include_extras=True)
            groups[name] = list(inner_hints), hint  # type: ignore[assignment]
            parameters += [_parameter(one.name, inner_hints[one.name], one.default) for one in fields(hint)]
        elif name != "return":
            parameters.append(_parameter(name, hint, inspect.signature(command).parameters[name].default))

    @wraps(command)
    def called(**values: Any) -> Any:
        regrouped = {name: make(**{key: values.pop(key) for key in keys}) for name, (keys, make) in groups.items()}
        return command(**values, **regrouped)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _given(**values: Any) -> Given:
    return {name: value for name, value in values.items() if value is not None}
