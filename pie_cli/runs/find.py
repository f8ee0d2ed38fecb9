"""Which run is meant: by its configuration, by its folder or place on a hub, or the one that comes with the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pie_cli.config.naming import RESULTS, run_name, train_command
from pie_cli.config.run import RunConfig
from pie_cli.data.base import DataConfig, Dataset, Preprocessing
from pie_cli.data.load import ImageSource
from pie_cli.errors import PIEError, UnusableRun, UsageError
from pie_cli.runs.folder import CARD, SHARED_WEIGHTS, Run
from pie_cli.runs.hub import HubPlace, fetched_run

if TYPE_CHECKING:
    import torch

    from pie_cli.models.base import Autoencoder

_INSTALLED, _CHECKOUT = Path(__file__).parents[1] / "showcase", Path(__file__).parents[2] / "results" / "showcase"
SHOWCASE = _INSTALLED if _INSTALLED.exists() else _CHECKOUT  # the trained run that comes with the program


def load_showcase(device: torch.device | str = "cpu") -> Autoencoder:
    """Return the trained PIE that comes with the program, as `load_model` returns one: d = 10, ε₀² = 0.01, on MNIST.

    Raises PIEError if its files are damaged.

    Example:
        >>> model = load_showcase()
        >>> model.sample(3).shape
        torch.Size([3, 1, 28, 28])
    """
    return Run.open(SHOWCASE).load_model(device)


def open_run(place: Path | str, offline: bool = False, results_dir: Path = RESULTS) -> Run:
    """Return the run in a folder, or at hf://owner/name on the Hub; figures of the latter go into `results_dir`.

    Raises PIEError if there is none, or `offline` forbids fetching it.
    """
    if (on_hub := HubPlace.of(place)) is None:
        return Run.open(Path(place))
    run = fetched_run(on_hub, offline)
    name = "/".join(filter(None, [on_hub.repository, on_hub.revision])).replace("/", "--")
    return run.drawing_into(results_dir / name / "figures")


def run_of(config: RunConfig, results_dir: Path) -> Run:
    """Return the run of this configuration, whether it is there or not."""
    return Run(results_dir / run_name(config), config)


def find_run(config: RunConfig, results_dir: Path, report: Callable[[str], None]) -> Run:
    """Return the finished run of this name; if there is none, the run of this name that comes with the program.

    `report` is told of the latter. Raises PIEError if there is neither; the message names the command that trains it.
    """
    run = run_of(config, results_dir)
    if run.exists:
        return finished_run(run.folder)
    if (SHOWCASE / "config.json").exists() and (shown := Run.open(SHOWCASE)).name == run.name:
        report(f"there is no run {run.folder} yet; this is the trained one that comes with the program: {SHOWCASE}")
        return replace(shown, figures_folder=results_dir / "showcase" / "figures")
    raise PIEError(f"there is no run {run.folder}; train it with: {train_command(config, results_dir)}")


def finished_run(
    folder: Path, given: Mapping[str, object] | None = None, offline: bool = False, results_dir: Path = RESULTS
) -> Run:
    """Return the run in `folder`, as `open_run` does. Raises PIEError if there is none, or its training goes on.

    Settings that are `given` would choose a run, so they must be those of this one; UsageError if they are not.
    """
    run = open_run(folder, offline, results_dir)
    config = run.config
    facts = {"model": config.model_name, "recipe": config.recipe, **asdict(config.model)}
    facts |= asdict(config.resolved) if config.training else {}
    for name, value in (given or {}).items():
        if facts.get(name) != value:
            raise UsageError(f"`{name}` {value} is not that of {folder}; leave out one of them")
    if not run.finished and config.training is None:
        raise PIEError(f"{folder} has no weights: they were removed, or saving the model did not finish; save it again")
    if not run.finished and (run.folder / CARD).exists() and not (run.checkpoint.exists() or run.heartbeat):
        raise PIEError(f"{folder} has no {SHARED_WEIGHTS}; download it again, or give hf://owner/name")
    if not run.finished:
        command = train_command(config, folder.parent)
        name = "" if folder.resolve().name == run.name else f"rename the folder to {run.name} and "
        raise PIEError(f"the training of {folder} has not finished; {name}go on with: {command} `resume`")
    return run


def finished_runs(results_dir: Path, dataset: str, data: DataConfig | None, report: Callable[[str], None]) -> list[Run]:
    """Return all finished runs of a data set in a folder, except the one that comes with the program.

    `data` says which images they are, where they are one's own.

    `report` is told what is left out: each folder that has a config.json but is not a run's, and each model that was
    trained elsewhere, since its images are not known.
    """
    inside = sorted(results_dir.iterdir()) if results_dir.exists() else []  # unlike glob, it fails if it may not read
    found = []
    for path in inside:
        if path.resolve() == SHOWCASE.resolve() or not (path / "config.json").exists():
            continue
        try:
            found.append(Run.open(path))
        except PIEError as error:
            report(f"left out: {error.problem if isinstance(error, UnusableRun) else error}")
            continue
        if found[-1].config.training is None:
            report(f"left out: {path} was trained elsewhere; name it to evaluate it")
    return [run for run in found if run.finished and (run.config.dataset, run.config.data) == (dataset, data)]


def images_of(run: Run, given: ImageSource | None, elsewhere: ImageSource) -> ImageSource:
    """Return where the images are that a run was trained on.

    `given` is what the user named, if anything; it may be another place of the same images, and it chooses those of a
    model that was trained elsewhere. The rest, such as the folder of downloaded images, is that of `elsewhere`. Raises
    UsageError if the images are not known, are not those of `given`, or are not read as `given` says.
    """
    config = run.config
    if config.training is None:
        if given is None:
            raise UsageError(f"{run.folder} does not say which images it was trained on; name some with `dataset`")
        return given
    if config.data is None:
        if given is not None and given.name != config.dataset:
            raise UsageError(f"`dataset` {given.name} is not that of {run.folder}; leave out one of them")
        return replace(elsewhere, name=config.training.dataset)
    if given is not None and given.named:
        raise UsageError(f"`dataset` {given.name} is not that of {run.folder}; leave out one of them")
    place = given.name if given else config.images
    if place is None or not Path(place).exists():
        where = f"were in {place}, which is not there any more" if place else "have no place on record"
        raise UsageError(f"the images of {run.folder} {where}; say where they are with `dataset`")
    used = Preprocessing(**{one.name: getattr(config.data, one.name) for one in fields(Preprocessing)})
    if given and given.preprocessing not in (used, Preprocessing()):
        raise UsageError(f"the images of {run.folder} were read with other settings; leave those out")
    skip = config.data.left_out > 0
    return replace(elsewhere, name=place, preprocessing=used, skip_unreadable=skip)


def check_images(run: Run, dataset: Dataset) -> None:
    """Raise PIEError if a run was trained on other images of one's own than these."""
    if run.config.training is not None and run.config.data != dataset.config:
        raise PIEError(f"the images in {dataset.path} are not those that {run.folder} was trained on; put those back")


def check_shape(run: Run, shape: tuple[int, int, int], name: str) -> None:
    """Raise UsageError unless images of a name have the shape that a run's model takes."""
    if shape != (own := run.config.model.image_shape):
        raise UsageError(f"`dataset` {name} has images of shape {shape}; the model in {run.folder} takes {own}")
