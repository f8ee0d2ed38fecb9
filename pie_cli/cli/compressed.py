"""The commands of compressed files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pie_cli.cli import given
from pie_cli.cli.console import out, say
from pie_cli.cli.options import Place, RunsPlace, expanded, images_of, opt, path_of
from pie_cli.data.base import DATASETS
from pie_cli.runtime import find_accelerator

COMPRESSED = "Compressed files"  # the panel of these commands in the program's help

_FILE = typer.Argument(metavar="FILE.pie", help="Compressed file.", parser=path_of, show_default=False)
_KEEP = "Number of residual levels kept beside z"
_RUN = opt("Run folder of the PIE.", "the program's own", None, "--run", parser=path_of, metavar="RUN")
_FOUND = opt("Run folder of the file's PIE.", "found by its SHA-256", None, "--run", parser=path_of, metavar="RUN")


def _output(help: str, shown: str | bool, metavar: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = opt(help, shown, None, "--output", "-o", parser=path_of, metavar=metavar)
    return found


@expanded
def compress(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help=f"Pictures, folders or .zip files of them; or an .npy or .npz; or a part of {', '.join(DATASETS)}, "
            "as in mnist:test.",
            show_default=False,
        ),
    ],
    place: Place,
    output: Annotated[Path, _output("File to write.", False, "FILE.pie")],
    run: Annotated[Path | None, _RUN] = None,
    keep: Annotated[int | None, opt(f"{_KEEP}; the rest is lost, unless --lossless.", "all", min=0)] = None,
    bytes_per_image: Annotated[
        float | None, opt("Keep as much as fits into so many bytes an image.", "no limit", min=0)
    ] = None,
    lossless: Annotated[
        bool, opt("Keep the pixels exactly, whatever --keep says.", "without --keep", None, "--lossless")
    ] = False,
    dataset: Annotated[
        str | None,
        opt(
            "Training images of a run that does not know them; its tables are fitted to them.",
            "the run's own",
            parser=images_of,
            metavar="NAME|PATH",
        ),
    ] = None,
) -> None:
    """Compress images into one file, z first, so that the compression can be undone as far as you want.

    What is coded rests on tables that are fitted to training images. A run that has none yet gets them first, from the
    images that it was trained on; that takes some minutes, once.
    """
    from pie_cli.codec.making import Amount, make_file
    from pie_cli.runs.find import SHOWCASE, finished_run

    amount = Amount(keep, bytes_per_image, lossless)
    chosen = finished_run(run or SHOWCASE, offline=place.offline)
    source = given.Images({"dataset": dataset} if dataset else {}, place)
    made = make_file(
        images, output, chosen, amount, find_accelerator(place.device), source.named, lambda: source.of(chosen), say
    )
    out.print(made)


@expanded
def decompress(
    file: Annotated[Path, _FILE],
    place: RunsPlace,
    output: Annotated[Path | None, _output("Folder to write.", "the file's name without .pie", "FOLDER")] = None,
    run: Annotated[Path | None, _FOUND] = None,
    keep: Annotated[int | None, opt(f"{_KEEP}.", "all that the file has", min=0)] = None,
) -> None:
    """Write the images of a compressed file as PNG, or as the array that they were.

    They are exact if the file is lossless. Of a file that is cut, the best that is left is written, and a line says so.
    """
    from pie_cli.codec import files, pictures
    from pie_cli.io.files import check_vacant

    folder = output or Path(file.stem)
    check_vacant(folder, "output")
    undone = files.undo(file, keep, run, place.results_dir, find_accelerator(place.device))
    written = pictures.write_images(undone.pictures, folder, file.stem)
    if undone.missing:
        out.print(undone.missing)
    out.print(f"wrote {written}")


@expanded
def info(
    file: Annotated[Path, _FILE],
    place: RunsPlace,
    run: Annotated[Path | None, _FOUND] = None,
) -> None:
    """Show what is in a compressed file: images, model, and each layer's bytes and error. Nothing is decoded."""
    from pie_cli.codec.files import describe

    for name, value in describe(file, run, place.results_dir):
        out.print(f"{name}: {value}")


@expanded
def reduce(
    file: Annotated[Path, _FILE],
    output: Annotated[Path, _output("File to write.", False, "FILE.pie")],
    keep: Annotated[int, opt(f"{_KEEP}.", False, min=0)],
) -> None:
    """Make a smaller file of a compressed one: z and some levels. Nothing is decoded."""
    from pie_cli.codec.files import reduce_file

    out.print(reduce_file(file, output, keep))
