"""The page of the shipped run, made when the site is built, with scikit-learn's digits: they need no network."""

from pathlib import Path
from typing import Any

from pie_cli.data.load import load_dataset
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import Run
from pie_cli.share.page import write_page

PAGE, FILE = "docs/PAGE", "shipped-run.html"
LINK = f'<p><a href="{FILE}"><strong>Open the page of the shipped run</strong></a>, with scikit-learn\'s digits</p>'


def link(app: Any, page: str, source: list[str]) -> None:
    """Link the page below the heading; in the repository there is nothing to link."""
    if page == PAGE:
        heading, _, rest = source[0].partition("\n")
        source[0] = f"{heading}\n\n{LINK}\n{rest}"


def write(app: Any, failure: Exception | None) -> None:
    """Write the page beside the one that links it."""
    if not failure and app.builder.format == "html":
        digits = load_dataset("digits", report=lambda line: None)
        write_page(Run.open(SHOWCASE), digits, "cpu", Path(app.outdir, "docs", FILE))


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", link)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
