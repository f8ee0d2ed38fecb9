"""Names that are markup, HTML, or not text at all are shown as they are, in the terminal and on every page."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pie_cli.config.naming import run_config, run_name
from pie_cli.io import provenance
from pie_cli.io.text import markdown_text, one_line
from pie_cli.models.registry import build_model
from pie_cli.paper.claims import judge
from pie_cli.paper.page import results_page
from pie_cli.plots.tables import write_table
from pie_cli.runs.folder import Run
from tests import commands

EVIL = "a|b `c` <script>alert(1)</script> **d** [e](javascript:f) & &lt; ![g](h) \\| _i_ ~~j~~\n\n# k\n| l | m |"
NAMES = ["[red]", "[/]", ":smile:", "a|`b`<script>", "two\nlines", "--help", "ε₀²", "%s {x}"]


def rendered(markdown: str) -> str:
    """Return the HTML of a page, for a reader whose Markdown allows HTML."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(markdown)


@given(st.text())
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    shown = rendered(f"- x: {markdown_text(text)}.")
    assert html.unescape(shown) == f"<ul>\n<li>x: {one_line(text)}.</li>\n</ul>\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_is_drawn_into(name: str, tmp_path: Path) -> None:
    config = run_config("vae", latent_dim=2, dataset="digits")
    run = Run(tmp_path / name / run_name(config), config)
    run.create()
    run.save_weights(build_model(config.model))
    done = commands.run("sample", "--count", 2, f"./{name}/{run_name(config)}", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert f"wrote {name}/{run_name(config)}/figures/samples_2_variance1.png\n" in done.stdout
    assert len(list(run.figures.iterdir())) == 3


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff")])
def test_a_folder_of_any_name_is_shown(name: str, tmp_path: Path) -> None:
    """Bytes that are not characters are shown as escapes."""
    shown = name.encode(errors="backslashreplace").decode()
    done = commands.run("train", "--dry-run", f"--results-dir={name}", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert f"  {shown}/pie-d10-eps0.01-seed0/config.json\n" in done.stdout
    done = commands.run("sample", "--seed=1", f"--results-dir={name}", cwd=tmp_path)
    assert done.code == 1
    assert done.stderr.count("\n") == 1
    assert f"there is no run {one_line(name)}/pie-d10-eps0.01-seed1" in done.stderr


def test_tables_escape_what_stands_in_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"": [EVIL, "plain"], EVIL: [0.5, 1.0]})
    write_table(frame, tmp_path / "table", note=f"command: {EVIL}")
    page = rendered((tmp_path / "table.md").read_text())
    assert page.count("<tr>") == 3
    assert page.count("<td") == 4
    assert_nothing_of_its_own(page)
    assert html.unescape(page).count(one_line(EVIL)) == 3
    comment = (tmp_path / "table.tex").read_text().split("\\end{tabular}\n")[1]
    assert comment == f"% command: {one_line(EVIL)}\n"


def test_the_page_of_results_escapes_what_users_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["pie", "reproduce", "--results-dir", EVIL])
    facts = {"command": provenance.command_line(), "data": EVIL, "epochs of a training": "1", "commit": EVIL}
    table = pd.DataFrame({"": ["true"], "sharpness": [0.1]})
    tables = {"table1": table, "audit": table, "evaluation": table}
    page = rendered(results_page({"letter": judge({}, "quick")}, tables, {}, facts, quick=True))
    assert_nothing_of_its_own(page)
    assert "alert(1)" in page


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["/usr/bin/pie", "umap"], "pie umap"),
        (["/x/pie_cli/__main__.py", "umap"], "pie umap"),
        (["scripts/record_results.py", "--page"], "python scripts/record_results.py --page"),
    ],
)
def test_the_command_is_that_of_the_user(typed: list[str], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", typed)
    assert provenance.command_line() == shown


def assert_nothing_of_its_own(page: str) -> None:
    """Assert that no tag, link or heading comes from `EVIL`."""
    assert "<script" not in page
    assert "href" not in page
    assert not re.search(r"<h1>k|<em>i|<strong>d|<s>j|<code>c|<img src=.h", page)
