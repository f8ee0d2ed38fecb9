"""The command that shares a model: it parses, calls and prints, like those of `app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pie_cli.cli.console import out
from pie_cli.cli.options import expanded, opt, path_of

SHARED = "For other tools"  # the panel of this command in the program's help


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
) -> None:
    """Write a trained model in a form that other tools load: encode and decode, of a PIE exact ones too.

    Graphs are compared with the model before anything is written.
    """
    from pie_cli.runs.find import finished_run
    from pie_cli.share import export as exports

    exports.check(to, output, licence)
    exported = exports.export(finished_run(run), to, output, licence)
    if exported.difference is not None:
        out.print(f"largest difference from the model: {exported.difference:.2g}")
    for path in exported.files:
        out.print(f"wrote {path}")
