"""The README's figures are those of the full run that results/ keeps, and what ran is said."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = {
    "PIE, ε₀² = 0.01": "pie-d10-eps0.01",
    "PIE, ε₀² = 0.1": "pie-d10-eps0.1",
    "PIE, ε₀² = 1": "pie-d10-eps1",
    "PIE, ε₀² = 0.01, `--reconstruction 10`": "pie-d10-eps0.01-rec10",
    "VAE": "vae-d10",
    "WAE": "wae-d10",
}
COLUMNS = {
    "mse": ".4f",
    "knn_accuracy": ".3f",
    "bits_per_dim": ".2f",
    "frechet_distance": ".1f",
    "fitted_frechet_distance": ".1f",
}


def cells(start: str, number: int) -> list[str]:
    """Return the cells of the README's row that starts so, in the table with this number of columns."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line[:1] == "|"]
    (row,) = [row for row in rows if row[0] == start and len(row) == number]
    return row[1:]


def test_table_1() -> None:
    """Sharpness, its error, its distance to the true images, and realism of each row."""
    table = pd.read_csv(ROOT / "results/table1.csv", index_col=0)
    for name, row in table.iterrows():
        assert cells(str(name).replace("PIE ", "PIE, "), 5) == [
            f"{row['paper']:.2f}",
            f"{row['sharpness']:.4f} ± {row['± (s.e.)']:.4f}",
            f"{row['|sharpness − true|']:.3f}",
            f"{row['Fréchet distance']:.1f}",
        ]


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_merit(name: str) -> None:
    """Means over the seeds."""
    runs = pd.read_csv(ROOT / "results/evaluation.csv", index_col=0)
    mean = runs[runs.index.str.replace(r"-seed\d+$", "", regex=True) == NAMES[name]].mean()
    expected = ["–" if pd.isna(mean[column]) else format(mean[column], form) for column, form in COLUMNS.items()]
    assert cells(name, 6) == expected


def test_every_recorded_run_says_where_it_comes_from() -> None:
    """A clean commit, a command and a machine stand beside the numbers of each, and there are no weights."""
    runs = pd.read_csv(ROOT / "results/evaluation.csv", index_col=0)
    for run in runs.index:
        facts = json.loads((ROOT / "results/runs" / run / "provenance.json").read_text(encoding="utf-8"))
        assert facts["command"].startswith("pie ")
        assert len(facts["commit"]) == 40
        assert facts["processor"]
    assert not list((ROOT / "results/runs").rglob("*.safetensors"))
