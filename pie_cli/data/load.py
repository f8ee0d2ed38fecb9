"""Image sets by name, fetched and verified if necessary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pie_cli.data.base import DATASETS, Dataset
from pie_cli.data.named import load_named
from pie_cli.errors import UsageError


def default_data_dir() -> Path:
    """Return this program's cache folder on the platform, where downloaded data are kept.

    Raises UsageError if the user has no home folder, and so no cache.
    """
    from platformdirs import user_cache_path

    try:
        return user_cache_path("pie")
    except RuntimeError as error:
        raise UsageError("this user has no home folder to keep data in; choose a folder with `data_dir`") from error


def load_dataset(
    name: str, data_dir: Path | None = None, offline: bool = False, report: Callable[[str], None] = print
) -> Dataset:
    """Return one of `DATASETS`, from files in `data_dir` (None: the platform's cache folder) or fetched into it.

    `offline` opens no connection. `report` gets a line for each source that is tried, and one with the final source.
    Raises UsageError if `name` is unknown, PIEError with what to do if the data are altered or unavailable.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}; choose one of: {', '.join(DATASETS)}")
    dataset = load_named(name, data_dir or default_data_dir(), offline, report)
    report(f"{name}: {dataset.source}")
    return dataset
