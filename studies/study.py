"""What every study is: variants of one training at equal budget and seed, judged on the validation images."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pie_cli.classifier import load_or_train_classifier
from pie_cli.data import load_dataset
from pie_cli.files import write_text
from pie_cli.provenance import short_commit
from pie_cli.tables import markdown
from studies.variant import ROW

RUNS = Path("results/studies")
TABLES = Path(__file__).parent / "results"
LEVELS = {f"mse_{numbers}": f"MSE, {numbers} numbers kept" for numbers in (64, 196, 392)}
COLUMNS = {
    "parameters": "parameters",
    "mse_by_epoch": "MSE by epoch",
    "mse": "MSE",
    **LEVELS,
    "bits_per_dim": "bits/dim",
    "knn_accuracy": "5-NN of z",
    "umap_silhouette": "silhouette",
    "z_std": "std of z",
    "frechet_distance": "FD",
    "gaussian_frechet_distance": "FD, fitted Gaussian",
    "fitted_frechet_distance": "FD, fitted mixture",
    "sharpness": "sharpness",
    "samples_not_finite": "not finite",
    "remark": "remark",
}


@dataclass(frozen=True)
class Study:
    """One experiment.

    Arguments:
        name: of its table and of its folder of runs.
        question: what it asks, in a line.
        variants: the options of `pie train` of each row. An option word "+name" in front stands for the change of
            that name in `studies.changes`, for what is no option of the program.
        epochs: budget of each variant that does not say otherwise.
        base: options of all variants.
        levels: whether the table has the MSE of decoding with some residual levels kept.
        conclusion: what the table says; written by hand, after reading it.
    """

    name: str
    question: str
    variants: Mapping[str, str]
    epochs: int = 3
    base: str = ""
    levels: bool = False
    conclusion: str = ""

    def options(self, variant: str) -> str:
        """Return a variant's options with its budget."""
        options = f"{self.base} {self.variants[variant]}".strip()
        return options if "--epochs" in options else f"{options} --epochs {self.epochs}".strip()

    def command(self, variant: str) -> list[str]:
        """Return the command that trains and measures a variant, or goes on with it."""
        words = shlex.split(self.options(variant))
        changes = [word[1:] for word in words if word.startswith("+")]
        options = [word for word in words if not word.startswith("+")]
        options += ["--precision", "bf16-mixed"]  # the same ranking sooner
        return [sys.executable, "-m", "studies.variant", str(self.folder(variant)), ",".join(changes), *options]

    def folder(self, variant: str) -> Path:
        """Return the results folder of a variant: named by its options, so that studies share what they share."""
        return RUNS / re.sub(r"[^\w.+]+", "_", self.options(variant)).strip("_")

    def measure(self, variant: str) -> dict[str, object]:
        """Train and measure a variant where that is not done; return its row of the table.

        A training that fails is a result too: its row has the last line that it said.
        """
        folder = self.folder(variant)
        row: dict[str, object] = {"variant": variant, "options": self.options(variant)}
        if not (folder / ROW).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / "log.txt", "w", encoding="utf-8") as log:
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                done = subprocess.run(self.command(variant), env=environment, stdout=log, stderr=log, check=False)
            if done.returncode:
                return row | {"remark": (folder / "log.txt").read_text(encoding="utf-8").splitlines()[-1]}
        (provenance,) = folder.glob("*-d10-*/provenance.json")
        row |= {"commit": json.loads(provenance.read_text(encoding="utf-8"))["commit"]}
        return row | json.loads((folder / ROW).read_text(encoding="utf-8"))

    def run(self) -> None:
        """Parse the command line; train all variants, or those named; write the table of all that are finished."""
        parser = argparse.ArgumentParser(description=self.question)
        parser.add_argument("variants", nargs="*", help="only these; all by default")
        parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trainings at a time")
        arguments = parser.parse_args()
        dataset = load_dataset("mnist")
        load_or_train_classifier(RUNS, dataset.train, dataset.name)
        if unknown := set(arguments.variants) - set(self.variants):
            parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(self.variants)}")
        wanted = list(arguments.variants or self.variants)
        with ThreadPoolExecutor(arguments.jobs) as pool:
            rows = dict(zip(wanted, pool.map(self.measure, wanted), strict=True))
        rows |= {variant: self.measure(variant) for variant in self.variants if (self.folder(variant) / ROW).exists()}
        self.write(pd.DataFrame([rows[variant] for variant in self.variants if variant in rows]))

    def write(self, rows: pd.DataFrame) -> None:
        """Write the table as CSV, whole, and as Markdown, rounded."""
        TABLES.mkdir(exist_ok=True)
        write_text(TABLES / f"{self.name}.csv", rows.to_csv(index=False, lineterminator="\n"))
        columns = [column for column in COLUMNS if column in rows and (self.levels or column not in LEVELS)]
        shown = rows[["variant", *columns]].rename(columns=COLUMNS)
        base = f", all with `{self.base}`" if self.base else ""
        commits = ", ".join(sorted({short_commit(commit) for commit in rows.get("commit", pd.Series()).dropna()}))
        note = f"`python -m studies.{self.name}`, seed 0, validation images, trained at {commits}{base}"
        write_text(TABLES / f"{self.name}.md", f"{markdown(shown)}\n\n{note}\n")
