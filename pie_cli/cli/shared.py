"""The commands that make something of a run to be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pie_cli.cli import given
from pie_cli.cli.console import out, say
from pie_cli.cli.options import FigurePlace, ImagesChoice, RunArgument, RunChoice, expanded, opt, path_of

SHARED = "To pass on"  # the panel of these commands in the program's help


@expanded
def page(
    choice: RunChoice,
    which: ImagesChoice,
    place: FigurePlace,
    run: RunArgument = None,
    output: Annotated[
        Path | None,
        opt(
            "File to write.",
            "page.html in the folder of the figures",
            None,
            "--output",
            "-o",
            parser=path_of,
            metavar="FILE",
        ),
    ] = None,
    count: Annotated[int | None, opt("Number of test images.", "as many as fit, 10,000 at most", min=1)] = None,
) -> None:
    """One file for any browser, without a network: the map of z, the model itself, the facts of the run."""
    from pie_cli.share.page import write_page

    images = given.Images(which, place)
    chosen, accelerator = given.run(run, choice, images, place)
    path = write_page(chosen, images.of(chosen), accelerator, output, count, say)
    out.print(f"wrote {path}")
