"""The page of results for a browser: what README.md says, and what lies beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from pie_cli.io.text import markdown_text
from pie_cli.paper.claims import Verdict
from pie_cli.runs.folder import Run
from pie_cli.share.page import PAGE
from pie_cli.share.page_html import rendered, safe
from pie_cli.share.page_markdown import as_html

KINDS = (".csv", ".json", ".md", ".npz", ".pdf", ".tex")  # of files that are no pictures


def results_report(results: str, runs: Iterable[Run], folder: Path) -> str:
    """Return report.html: the page of results (`results_page`), each run with its page, and the folder's files.

    Links lead to what is there, by paths in the folder of the results.
    """
    lines = [results, "## Each run", "", f"`pie page RUN` makes the page of a run: {PAGE} in its figures.", ""]
    lines += [f"- {_run(run, folder)}" for run in runs]
    names = sorted(path.name for path in folder.iterdir() if path.suffix in KINDS and not path.name.startswith("."))
    lines += ["", "## Files", "", *(f"- {_link(name, name)}" for name in names)]
    title = next((line for line in results.splitlines() if line.startswith("# ")), "Results").lstrip("# ")
    body = re.sub(f"<strong>({'|'.join(Verdict)})", _coloured, as_html("\n".join(lines)))
    return rendered("report.html", title=title, body=safe(body))


def _coloured(found: re.Match[str]) -> str:
    return f'<strong class="{found[1].lower().split()[-1]}">{found[1]}'


def _run(run: Run, folder: Path) -> str:
    page = run.figures / PAGE
    inside = page.is_file() and page.is_relative_to(folder)
    return _link(run.label, page.relative_to(folder).as_posix()) if inside else markdown_text(run.label)


def _link(text: str, path: str) -> str:
    """Return a link to a path, whose other characters than letters are written as a URL has them."""
    return f"[{markdown_text(text)}]({quote(path)})"
