"""What a study is: variants of one training, with the same budget and seed unless they say otherwise."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pie_cli.io.files import write_text
from pie_cli.io.provenance import git_commit, short_commit
from pie_cli.plots.tables import markdown

EPOCHS = 3  # of each variant, unless it says otherwise
TABLES = Path(__file__).parent / "results"
LEVELS = {f"mse_{numbers}": f"MSE, {numbers} numbers kept" for numbers in (64, 196, 392)}
COLUMNS = {
    "parameters": "parameters",
    "mse_by_epoch": "MSE by epoch",
    "mse": "MSE",
    **LEVELS,
    "projected_mse": "MSE, projected",
    "bits_per_dim": "bits/dim",
    "knn_accuracy": "5-NN of z",
    "umap_silhouette": "silhouette",
    "z_std": "std of z",
    "frechet_distance": "FD",
    "gaussian_frechet_distance": "FD, fitted Gaussian",
    "fitted_frechet_distance": "FD, fitted mixture",
    "sharpness": "sharpness",
    "accepted": "accepted",
    "reconstruction_accuracy": "recognised",
    "residuals_over_eps2": "r²/ε₀²",
    "samples_not_finite": "not finite",
    "remark": "remark",
}

Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Study:
    """One experiment.

    Arguments:
        name: the name of its table.
        question: what it asks, in a line.
        variants: the options of `pie train` for each row. For what is not an option of the program, the word "+name"
            stands for the change of that name in `studies.changes`.
        levels: whether the table has the MSE of decoding with some residual levels kept.
        brief: whether a row has only what the training itself measures.
        conclusion: what the table says; written by hand, after reading it.
    """

    name: str
    question: str
    variants: Mapping[str, str]
    levels: bool = False
    brief: bool = False
    conclusion: str = ""

    def options(self, variant: str) -> str:
        """Return a variant's options with its budget, which name its row in all studies that share it."""
        options = self.variants[variant]
        return options if "--epochs" in options else f"{options} --epochs {EPOCHS}".strip()

    def write(self, measured: Mapping[str, Row]) -> None:
        """Write the table of the `measured` variants (rows by options), in full as CSV and rounded as Markdown."""
        options = {variant: self.options(variant) for variant in self.variants}
        rows = pd.DataFrame([{"variant": v, **measured[o]} for v, o in options.items() if o in measured])
        if rows.empty:
            return
        TABLES.mkdir(exist_ok=True)
        write_text(TABLES / f"{self.name}.csv", rows.to_csv(index=False, lineterminator="\n"))
        columns = [column for column in COLUMNS if column in rows and (self.levels or column not in LEVELS)]
        shown = rows[["variant", *columns]].dropna(axis="columns", how="all").rename(columns=COLUMNS)
        if "MSE by epoch" in shown:
            shown["MSE by epoch"] = shown["MSE by epoch"].map(_shortened, na_action="ignore")
        commits = ", ".join(
            sorted({short_commit(commit) for commit in rows.get("commit", pd.Series(dtype=str)).dropna()})
        )
        note = f"`python -m studies {self.name}`, validation images, trained at {commits}"
        write_text(TABLES / f"{self.name}.md", f"{markdown(shown)}\n\n{note}\n")


def write_measured(name: str, table: pd.DataFrame, of: str, digits: int = 4) -> None:
    """Write the table of a measurement that trains nothing: as Markdown, with its command, images and commit."""
    note = f"`python -m studies.{name}`, {of}, at {short_commit(git_commit() or '')}"
    write_text(TABLES / f"{name}.md", f"{markdown(table, digits)}\n\n{note}\n")


def _shortened(mse_by_epoch: str) -> str:
    """Return the first five epochs and the last one."""
    epochs = mse_by_epoch.split()
    return mse_by_epoch if len(epochs) <= 6 else " ".join([*epochs[:5], "…", epochs[-1]])


def recorded(failed: bool = False) -> dict[str, Row]:
    """Return the rows of all tables by their options; those of trainings that failed only with `failed`."""
    tables = [pd.read_csv(path) for path in sorted(TABLES.glob("*.csv"))]
    rows: list[Row] = [row for table in tables for row in table.drop(columns="variant").to_dict("records")]
    return {str(row["options"]): row for row in rows if failed or not isinstance(row.get("remark"), str)}
