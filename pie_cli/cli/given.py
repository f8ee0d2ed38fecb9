"""What the options of a call mean: the run, its images, and what many runs have in common."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pie_cli.cli.console import out
from pie_cli.cli.options import FigurePlace, Given, Place, Profile
from pie_cli.config.naming import run_config
from pie_cli.runtime import find_accelerator

if TYPE_CHECKING:
    from pie_cli.data.base import Dataset
    from pie_cli.paper.suite import Suite
    from pie_cli.report.figures import Drawing
    from pie_cli.runs.folder import Run


def run(folder: Path | None, choice: Given, place: FigurePlace) -> tuple[Run, str]:
    """Return the run that the options mean, and the accelerator."""
    config = run_config(**choice) if folder is None else None

    from pie_cli.runs.find import find_run, finished_run

    accelerator = find_accelerator(place.device)
    if config is not None:
        run = find_run(config, place.results_dir, out.print)
    else:
        assert folder is not None
        run = finished_run(folder, choice)
    return run.drawing_into(place.figures_dir), accelerator


def suite(choice: Given, place: Place, profile: Profile | None = None) -> Suite:
    """Return what all runs of a call have in common; `profile` is given by the calls that train."""
    from pie_cli.paper.suite import Suite

    return Suite.prepare(console=out, **asdict(place), **(asdict(profile) if profile else {}), **choice)


def dataset(run: Run, choice: Given, place: Place) -> Dataset:
    """Return the run's data set, and print where it comes from."""
    from pie_cli.data.load import load_dataset
    from pie_cli.runs.find import dataset_of

    return load_dataset(dataset_of(run, choice.get("dataset")), place.data_dir, place.offline, out.print)


def show(drawing: Drawing) -> None:
    """Print the numbers and the files of a figure."""
    for name, value in drawing.numbers.items():
        out.print(f"{name}: {value:.4g}")
    for path in drawing.files:
        out.print(f"wrote {path}")
