"""The program that the commands are added to: its name, its help and its version."""

from __future__ import annotations

from typing import Annotated

import typer

from pie_cli.cli.options import opt

app = typer.Typer(
    name="pie",
    help="PIE: Pseudo-Invertible Encoder (arXiv 2111.00619). Train it, look at what it learned, compare it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from pie_cli.io.provenance import package_version

        print(f"pie {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, opt("Show the version.", True, None, "--version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # without a home folder, it logs where it caches fonts
