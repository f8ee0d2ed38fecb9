"""What the options of a call mean: the run, its images, and what many runs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_cli.cli.console import out
from pie_cli.cli.options import FigurePlace, Given, Place, Profile
from pie_cli.config.naming import run_config
from pie_cli.runtime import fastest_precision, find_accelerator

if TYPE_CHECKING:
    from pie_cli.config.run import RunConfig
    from pie_cli.data.base import Dataset
    from pie_cli.data.load import ImageSource
    from pie_cli.paper.suite import Suite
    from pie_cli.report.figures import Drawing
    from pie_cli.runs.folder import Run


@dataclass(frozen=True)
class Images:
    """The images that a call means; they are loaded at most once, and only where they are needed.

    Arguments:
        choice: the options that choose images.
        place: where downloaded and prepared ones are.
    """

    choice: Given
    place: Place

    @cached_property
    def source(self) -> ImageSource:
        """Where they are, by the options alone."""
        from pie_cli.data.base import Preprocessing
        from pie_cli.data.load import ImageSource
        from pie_cli.errors import UsageError

        given = dict(self.choice)
        name, skip = given.pop("dataset", "mnist"), given.pop("skip_unreadable", False)
        try:
            preprocessing = Preprocessing(**given)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return ImageSource(name, self.place.data_dir, self.place.offline, preprocessing, skip)

    @cached_property
    def dataset(self) -> Dataset:
        """The images themselves."""
        return self.load(self.source)

    def load(self, source: ImageSource) -> Dataset:
        """Return the images of a source, and print where they come from and how far their preparation is."""
        from pie_cli.data.progress import load_images

        return load_images(source, out)

    def settings(self) -> dict[str, Any]:
        """Return what `run_config` takes of them."""
        return self.source.settings(lambda: self.dataset)

    def of(self, run: Run) -> Dataset:
        """Return the images that a run was trained on, and print where they come from.

        Raises UsageError if they are not known, or not those of the options.
        """
        from pie_cli.runs.find import check_images, check_shape

        source = self.source_of(run)
        dataset = self.dataset if source == self.source else self.load(source)
        check_images(run, dataset)
        check_shape(run, dataset.image_shape, source.name)
        return dataset

    def named(self, name: str) -> ImageSource:
        """Return where a named set is."""
        from pie_cli.data.load import ImageSource

        return ImageSource(name, self.place.data_dir, self.place.offline)

    def source_of(self, run: Run) -> ImageSource:
        """Return where the images are that a run was trained on. Raises UsageError as `of` does."""
        from pie_cli.data.load import ImageSource
        from pie_cli.runs.find import images_of

        elsewhere = ImageSource(data_dir=self.place.data_dir, offline=self.place.offline)
        return images_of(run, self.source if self.choice else None, elsewhere)


def config(choice: Given, images: Images) -> RunConfig:
    """Return the configuration that the options mean."""
    if choice.get("precision") == "auto":
        choice = choice | {"precision": fastest_precision(find_accelerator(images.place.device))}
    return run_config(**choice, **images.settings())


def run(folder: Path | None, choice: Given, images: Images, place: FigurePlace) -> tuple[Run, str]:
    """Return the run that the options mean, and the accelerator."""
    chosen = config(choice, images) if folder is None else None

    from pie_cli.runs.find import find_run, finished_run

    accelerator = find_accelerator(place.device)
    if chosen is not None:
        run = find_run(chosen, place.results_dir, out.print)
    else:
        assert folder is not None
        run = finished_run(folder, choice, place.offline, place.results_dir)
        if images.choice:
            images.source_of(run)  # what it names must be those of the run, even if they are not looked at
    return run.drawing_into(place.figures_dir), accelerator


def suite(choice: Given, images: Images, place: Place, profile: Profile) -> Suite:
    """Return what all runs of a call that trains have in common."""
    from pie_cli.paper.suite import Suite

    return Suite.prepare(out, images.source, place.results_dir, place.device, **asdict(profile), **choice)


def evaluation(folders: Sequence[Path], images: Images, place: Place) -> Suite:
    """Return what the evaluation of runs has in common: the images of the first one, unless the options choose some."""
    from pie_cli.paper.suite import Suite
    from pie_cli.runs.find import finished_run

    known = folders and not images.choice
    source = images.source_of(finished_run(folders[0], offline=place.offline)) if known else images.source
    return Suite.prepare(out, source, place.results_dir, place.device)


def show(drawing: Drawing) -> None:
    """Print the numbers and the files of a figure."""
    for name, value in drawing.numbers.items():
        out.print(f"{name}: {value:.4g}")
    for path in drawing.files:
        out.print(f"wrote {path}")
