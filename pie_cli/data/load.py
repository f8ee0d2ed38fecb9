"""The images that a call means: a set with a name, or one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from pie_cli.data.base import DATASETS, Dataset, Preprocessing
from pie_cli.data.named import load_named
from pie_cli.errors import UsageError
from pie_cli.runtime import cache_folder

Progress = Callable[[int, int], None]  # how many of how many images are prepared


def _nothing(done: int, total: int) -> None:
    """Show no progress."""


def default_data_dir() -> Path:
    """Return this program's cache folder on the platform, where downloaded data are kept.

    Raises UsageError if the user has no home folder, and so no cache.
    """
    try:
        return cache_folder()
    except RuntimeError as error:
        raise UsageError("this user has no home folder to keep data in; choose a folder with `data_dir`") from error


@dataclass(frozen=True)
class ImageSource:
    """Which images a call means, and how they are read.

    Arguments:
        name: one of `DATASETS`, or the path of one's own images: a folder, or a .zip, .npz or .npy file.
        data_dir: folder of downloaded and of prepared images (None: the platform's cache folder).
        offline: whether to open no connection.
        preprocessing: what is made of one's own pictures.
        skip_unreadable: whether to leave out files of one's own that cannot be read.
    """

    name: str = "mnist"
    data_dir: Path | None = None
    offline: bool = False
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.named and (self.preprocessing != Preprocessing() or self.skip_unreadable):
            chosen = [name for name, value in asdict(self.preprocessing).items() if value]
            name = [*chosen, "skip_unreadable"][0]
            raise UsageError(f"`{name}` is for pictures of your own; {self.name} is not: name yours with `dataset`")

    @property
    def named(self) -> bool:
        """Whether it is one of `DATASETS`."""
        return self.name in DATASETS

    @property
    def fetched(self) -> Self:
        """The same images once they have been loaded: no connection is needed any more."""
        return replace(self, offline=True)

    @property
    def anywhere(self) -> Self:
        """The same images, as a process in another folder names them."""
        name = self.name if self.named else str(Path(self.name).absolute())
        return replace(self, name=name, data_dir=self.data_dir and self.data_dir.absolute())

    def load(self, report: Callable[[str], None] = print, progress: Progress = _nothing) -> Dataset:
        """Return the images, fetched or prepared where they are missing.

        `report` gets a line for each source that is tried, and one with the final source; `progress` is called while
        one's own images are prepared. Raises UsageError if there is nothing of that name, PIEError with what to do if
        the data are altered, unavailable or unreadable.
        """
        cache = self.data_dir or default_data_dir()
        if self.named:
            dataset = load_named(self.name, cache, self.offline, report)
        else:
            from pie_cli.data.own.load import load_own

            if not (path := Path(self.name)).exists():
                raise UsageError(f"{self.name!r} is not one of {', '.join(DATASETS)}, nor a folder or file")
            dataset = load_own(path, cache, self.preprocessing, self.skip_unreadable, report, progress)
        report(f"{dataset.name}: {dataset.source}")
        return dataset

    def settings(self, load: Callable[[], Dataset]) -> dict[str, Any]:
        """Return what `run_config` takes of the images; `load` is called only if they have no name."""
        if self.named:
            return {"dataset": self.name}
        dataset = load()
        return {
            "dataset": dataset.name,
            "image_shape": dataset.image_shape,
            "data": dataset.config,
            "images": str(dataset.path),
        }


def load_dataset(
    name: str, data_dir: Path | None = None, offline: bool = False, report: Callable[[str], None] = print
) -> Dataset:
    """Return one of `DATASETS`, or one's own images at a path as they are (see `ImageSource`)."""
    return ImageSource(name, data_dir, offline).load(report)
