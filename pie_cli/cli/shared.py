"""The commands that share a model: they parse, call and print, like those of `app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pie_cli.cli import given
from pie_cli.cli.console import out, say
from pie_cli.cli.options import FigurePlace, ImagesChoice, RunArgument, RunChoice, expanded, opt, path_of

SHARED = "To share"  # the panel of these commands in the program's help


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


@expanded
def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, or hf://owner/name.", parser=path_of, show_default=False)
    ],
    to: Annotated[
        Literal["onnx", "torch", "hub"],
        opt(
            "onnx: ONNX graphs (needs the extra: onnx); torch: programs of torch.export; hub: a repository for the "
            "Hugging Face Hub.",
            False,
        ),
    ],
    output: Annotated[Path, opt("Folder to write.", False, None, "--output", "-o", parser=path_of, metavar="FOLDER")],
    licence: Annotated[
        str | None,
        opt(
            "Licence of the weights, such as mit, on the card of --to hub.",
            "none is stated",
            None,
            "--licence",
            "--license",
        ),
    ] = None,
    offline: Annotated[bool, opt("Open no network connection.")] = False,
) -> None:
    """Write a trained model in a form that other tools load: encode and decode, of a PIE exact ones too.

    Graphs are compared with the model before anything is written.
    """
    from pie_cli.runs.find import finished_run
    from pie_cli.share import export as exports

    exports.check(to, output, licence)
    exported = exports.export(finished_run(run, offline=offline), to, output, licence)
    if exported.difference is not None:
        out.print(f"largest difference from the model: {exported.difference:.2g}")
    for path in exported.files:
        out.print(f"wrote {path}")
