#!/usr/bin/env python3
"""Keep the record of a full reproduction in results/ of this repository, without its models' weights.

    python scripts/record_results.py FOLDER          # in the place of the record that is there
    python scripts/record_results.py FOLDER --add    # beside it: other runs, such as other seeds

FOLDER is the --results-dir of `pie reproduce --profile paper`. The page, the figures, the tables and the classifier
that Fréchet distances rest on keep their names; what describes each run goes to results/runs/NAME, where no command
takes it for a run that can be loaded.

With --add, FOLDER may hold any finished and evaluated runs, judged by the record's classifier (copy it there before
they start). The evaluation, the verdicts and the page are made anew of all runs. What shows seed 0 alone stays: the
figures and Table 1. Set OMP_NUM_THREADS=1, as for the runs: PCA's figures are computed here, and the UMAP plane of its
eight components differs with the number of threads.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from pie_cli.evaluation import with_nan
from pie_cli.reproduce import DIMS, write_page
from pie_cli.runs import Run
from pie_cli.suite import Suite

RESULTS = Path(__file__).resolve().parents[1] / "results"
CLASSIFIER = "classifier-mnist.safetensors"
PAGE = ("README.md", "claims.json", "evaluation.*", "table1*.[cmpt]*", "fig[789].p*", CLASSIFIER)
RUN = ("config.json", "metrics.csv", "provenance.json", "evaluation.json", "learning_curve.png")


def main() -> None:
    """Copy what there is to copy, say what it weighs, and make the page anew where runs are added."""
    parser = argparse.ArgumentParser(description="Keep the record of a full reproduction in results/.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the --results-dir of the reproduction")
    parser.add_argument("--add", action="store_true", help="keep the record that is there, and add these runs to it")
    arguments = parser.parse_args()
    source, add = arguments.folder.resolve(), arguments.add
    page = [] if add else [path for pattern in PAGE for path in sorted(source.glob(pattern))]
    runs = [path for name in RUN for path in sorted(source.glob(f"*-seed*/{name}"))]
    if source == RESULTS or not runs or not (page or add) or not (source / CLASSIFIER).exists():
        sys.exit(f"error: {source} has no full reproduction of another folder")
    if add and (source / CLASSIFIER).read_bytes() != (RESULTS / CLASSIFIER).read_bytes():
        sys.exit(f"error: the runs in {source} were judged by another classifier than the record's")
    if not add:
        shutil.rmtree(RESULTS / "runs", ignore_errors=True)
    for path in [*page, *runs]:
        into = RESULTS if path.parent == source else RESULTS / "runs" / path.parent.name
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, into / path.name)
    print(f"{len(page) + len(runs)} files, {sum(path.stat().st_size for path in [*page, *runs]) / 1e6:.1f} MB")
    if add:
        make_page()


def make_page() -> None:
    """Make evaluation, verdicts and page of all runs of the record."""
    command = "of each run, in its provenance.json"
    suite = replace(Suite.prepare("paper", "mnist", None, False, RESULTS, "cpu", 1, Console()), command=command)
    names = pd.read_csv(RESULTS / "evaluation.csv")["run"].tolist()  # the tables' order; new runs come last
    names += [path.name for path in sorted((RESULTS / "runs").iterdir()) if path.name not in names]
    runs = [Run.open(RESULTS / "runs" / name) for name in names]
    kept = {run.config.name: json.loads((run.folder / "evaluation.json").read_text())["numbers"] for run in runs}
    numbers = {name: with_nan(values) for name, values in kept.items()}
    floors = {f"pca-d{d}": [suite.pca(d)] for d in DIMS}
    tables = {
        name: pd.read_csv(RESULTS / f"{stem}.csv").rename(columns={"Unnamed: 0": ""})
        for name, stem in (("table1", "table1"), ("audit", "table1_audit"))
    }
    certificate = json.loads((RESULTS / "claims.json").read_text())["certificate"]
    write_page(suite, runs, numbers, floors, tables, with_nan(certificate))


if __name__ == "__main__":
    main()
