"""The documents' numbers are those of the recorded reproduction, cell by cell; their links lead to files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"

ROWS = {  # of the tables of d = 10: what the documents call each, and its column in results/evaluation.md
    "PCA (the floor)": "pca-d10",
    "letter, ε₀² = 0.01": "pie-d10-eps0.01-letter",
    "letter, ε₀² = 0.1": "pie-d10-eps0.1-letter",
    "letter, ε₀² = 1": "pie-d10-eps1-letter",
    "stable, ε₀² = 0.01": "pie-d10-eps0.01",
    "stable, ε₀² = 0.1": "pie-d10-eps0.1",
    "stable, ε₀² = 1": "pie-d10-eps1",
    "warm, ε₀² = 0.01": "pie-d10-eps0.01-warm",
    "VAE": "vae-d10",
    "WAE": "wae-d10",
}
OF_README = [title for title in ROWS if "= 0.1" not in title]
FURTHER = {"stable, ε₀² = 0.01, `--reconstruction 100`": "pie-d10-eps0.01-rec100"}  # in docs/RESULTS.md alone
SHORT = ("MSE from z alone", "5-NN accuracy of z", "samples at N(0, 1): Fréchet distance")  # of the README's table
MEASURES = (
    "MSE from z alone",
    "MSE after 40 steps of projection (a tenth of the images)",
    "classifier accuracy on reconstructions",
    "5-NN accuracy of z",
    "UMAP plane: silhouette of the digits",
    "samples at N(0, 1): accepted as digits",
    "samples at N(0, 1): recall",
    "samples at N(0, 1): Fréchet distance",
    "samples of a mixture fitted to z: Fréchet distance",
)


def cells(path: Path) -> list[list[str]]:
    """Return the cells of the first table of a Markdown file, without its ruler."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [table[0], *table[2:]]


def row(values: list[str]) -> str:
    return f"| {' | '.join(value if value not in ('', 'nan') else '–' for value in values)} |"


def expected_rows() -> list[str]:
    """Return the rows of the documents' tables: Table 1, figures of merit at d = 10, verdicts."""
    heads, *lines = cells(RESULTS / "table1.md")
    shown = [heads.index(name) for name in ("", "paper", "sharpness", "|sharpness − true|", "Fréchet distance")]
    rows = [row([line[index] for index in shown]) for line in lines]

    families, *measures = cells(RESULTS / "evaluation.md")
    by_name = {line[0]: line for line in measures}
    for names, shown_rows in ((SHORT, OF_README), (MEASURES, [*ROWS, *FURTHER])):
        for title in shown_rows:
            family = (ROWS | FURTHER)[title]
            rows.append(row([title, *(by_name[measure][families.index(family)] for measure in names)]))

    claims = json.loads((RESULTS / "claims.json").read_text(encoding="utf-8"))["claims"]
    for letter, stable in zip(claims["letter"], claims["stable"], strict=True):
        rows.append(f"| {letter['text']} | {letter['verdict']} | {stable['verdict']} |")
    return rows


def own_results() -> bool:
    """Return whether the user's own reproduction is in the record's place."""
    diff = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", "results"], cwd=ROOT, capture_output=True, check=False
    )
    return diff.returncode == 1


@pytest.mark.skipif(own_results(), reason="results/ holds another reproduction than the repository's")
def test_tables_are_those_of_the_record() -> None:
    lines = [
        line for name in ("README.md", "docs/RESULTS.md") for line in (ROOT / name).read_text("utf-8").splitlines()
    ]
    assert [line for line in expected_rows() if line not in lines] == []


PAGES = [page for folder in (".", "docs", "bench", "results") for page in (ROOT / folder).glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900
