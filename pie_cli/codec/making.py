"""Making a compressed file: which images, with which tables, how much of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pie_cli.codec.budget import compress_into
from pie_cli.codec.coder import check_installed
from pie_cli.codec.compress import compress
from pie_cli.codec.container import Container
from pie_cli.codec.files import check_keep, check_output, load_pie, size_of, write_file
from pie_cli.codec.fitting import fit_tables
from pie_cli.codec.pictures import Pictures, read_images
from pie_cli.codec.tables import Tables, tables_of
from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource
from pie_cli.errors import UsageError, advising
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import CODING, Run


@dataclass(frozen=True)
class Amount:
    """How much of the images is kept.

    Arguments:
        keep: how many levels; None stands for all.
        bytes_per_image: as much as fits into so many; the others then say nothing.
        lossless: whether the pixels are kept exactly even if `keep` is given.
    """

    keep: int | None = None
    bytes_per_image: float | None = None
    lossless: bool = False

    def __post_init__(self) -> None:
        if self.bytes_per_image is not None and (self.keep is not None or self.lossless):
            raise UsageError("`bytes_per_image` chooses what is kept; leave out `keep` and `lossless`")


def make_file(
    given: Sequence[str],
    output: Path,
    run: Run,
    amount: Amount,
    device: str,
    named: Callable[[str], ImageSource],
    trained_on: Callable[[], Dataset],
    report: Callable[[str], None],
) -> str:
    """Compress images into a file; return a line about it.

    `given` and `named` are as in `read_images`. `trained_on` returns the run's images, for its tables, if it has none.
    """
    check_installed()
    check_output(output)
    model = load_pie(run, device)
    check_keep(amount.keep, len(model.residual_sizes), "the model")
    pictures = read_images(given, model.image_shape, named, report)
    content = _compressed(model, pictures, amount, ready_tables(run, model, trained_on, report))
    write_file(output, content)
    return f"wrote {output}: {size_of(Container.parse(content).header)}"


def ready_tables(run: Run, model: PIE, trained_on: Callable[[], Dataset], report: Callable[[str], None]) -> Tables:
    """Return a run's tables, fitted on its training images and stored with it if it has none yet."""
    if not (run.folder / CODING).exists():
        with run.lock():  # others would replace these tables, and what was compressed with them could not be undone
            if not (run.folder / CODING).exists():
                _fit(run, model, trained_on, report)
    return tables_of(model)


def _fit(run: Run, model: PIE, trained_on: Callable[[], Dataset], report: Callable[[str], None]) -> None:
    report(f"{run.folder} has no tables for compressed files yet; they are fitted once, which takes some minutes")
    tables = fit_tables(model, trained_on().train.images, report)
    with advising("run"):
        tables.save(run.folder)


def _compressed(model: PIE, pictures: Pictures, amount: Amount, tables: Tables) -> bytes:
    names, kind = pictures.names, pictures.kind
    if amount.bytes_per_image is not None:
        budget = amount.bytes_per_image
        return compress_into(model, pictures.pixels, budget, names=names, kind=kind, tables=tables)
    lossless = amount.lossless or amount.keep is None
    return compress(model, pictures.pixels, amount.keep, lossless, names=names, kind=kind, tables=tables)
