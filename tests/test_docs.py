"""The documentation: it builds without a warning, its code runs, and the examples in docstrings are true."""

from __future__ import annotations

import doctest
import html
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

import pie_cli
from pie_cli import models
from pie_cli.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
RUN_BY_THE_BUILD = "TUTORIAL.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds; a warning is an error."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-c", "docs", ".", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert built.returncode == 0, built.stderr
    return folder


def text(site: Path, page: str) -> str:
    """Return the text of a built page, without its markup."""
    return html.unescape(re.sub("<[^>]+>", "", (site / page).read_text(encoding="utf-8")))


def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    ids = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text("utf-8"))) for page in site.rglob("*.html")}
    missing = []
    for page in ids:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8")):
            path, _, anchor = html.unescape(link).partition("#")
            if re.match("[a-z]+:", path):
                continue
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not target.exists() or (anchor and target in ids and anchor not in ids[target]):
                missing.append((page.name, link))
    assert missing == []


def test_every_option_of_the_program_is_on_the_page_of_commands(site: Path) -> None:
    group: Any = typer.main.get_command(app)
    page = text(site, "docs/COMMANDS.html")
    for name, command in group.commands.items():
        assert f"pie {name}" in page
        start = page.index(f"\npie {name} [OPTIONS]")
        section = page[start : page.find("[OPTIONS]", start + len(name) + 20)]
        options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
        assert [option for option in options if option.startswith("--") and option not in section] == []
        for parameter in command.params:
            assert re.sub(r"\[[a-z/]*\]", "", parameter.help) in section
            if isinstance(parameter.show_default, str):
                assert f"Default: {parameter.show_default}" in section


def test_the_tutorial_shows_what_its_code_prints_and_draws(site: Path) -> None:
    page = (site / "docs/TUTORIAL.html").read_text(encoding="utf-8")
    assert "4 levels: mean squared error" in text(site, "docs/TUTORIAL.html")
    assert len(re.findall("<img", page)) == 5


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != RUN_BY_THE_BUILD], ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in order and in one namespace; a line that says what it prints must print that."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(block, page.name, "exec"), namespace)
        for shown, said in re.findall(r"^print\((.*)\)  # (.*)$", block, re.MULTILINE):
            assert str(eval(shown, namespace)) == said


def documented() -> Iterator[tuple[str, Any]]:
    """Yield what is public by name: what `from pie_cli import …` gives, and the modules of the models."""
    yield "pie_cli", pie_cli
    for name in sorted({*pie_cli.__all__} - {"__version__"}):
        yield name, getattr(pie_cli, name)
    for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        yield module.name, importlib.import_module(module.name)


@pytest.mark.parametrize(("name", "subject"), [pytest.param(*one, id=one[0]) for one in documented()])
def test_examples_in_docstrings_are_true(name: str, subject: Any) -> None:
    torch.manual_seed(0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    module = subject if isinstance(subject, type(sys)) else importlib.import_module(subject.__module__)
    for example in doctest.DocTestFinder().find(subject, name, module=module, globs=dict(vars(module))):
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0
