#!/usr/bin/env python3
"""Keep the record of a full reproduction in results/ of this repository, without its models' weights.

    python scripts/record_results.py FOLDER…
    python scripts/record_results.py --page --seeds 3 --data-dir DATA

Each FOLDER is the --results-dir of a `pie reproduce --profile paper`, finished or not, in another checkout: a record
takes hours and may be made in parts. What describes a finished run goes to results/runs/NAME, where no command takes it
for a run that can be loaded. With --page, the page, figures and tables are made of the runs that are recorded.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from rich.console import Console

from pie_cli.config.naming import run_name
from pie_cli.data.load import ImageSource
from pie_cli.evaluation.cache import recorded
from pie_cli.io.files import write_json
from pie_cli.paper.reproduce import DIMS, paper_runs, present, print_verdicts
from pie_cli.paper.suite import Suite
from pie_cli.runs.folder import Run

RESULTS = Path(__file__).resolve().parents[1] / "results"
RUN = ("config.json", "metrics.csv", "provenance.json", "evaluation.json", "evaluation.npz", "learning_curve.png")


def main() -> None:
    """Copy what there is to copy, and make the page if it is asked for."""
    parser = argparse.ArgumentParser(description="Keep the record of a full reproduction in results/.")
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="the --results-dir of a reproduction")
    parser.add_argument("--page", action="store_true", help="make the page, figures and tables of the recorded runs")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every model on the page")
    parser.add_argument("--data-dir", type=Path, help="as for `pie reproduce`")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        record(folder.resolve())
    if arguments.page:
        make_page(arguments.seeds, arguments.data_dir)


def record(folder: Path) -> None:
    """Copy the description of each finished and evaluated run of a folder."""
    runs = sorted(path.parent for path in folder.glob("*-seed*/evaluation.json"))
    if folder == RESULTS or not runs:
        sys.exit(f"error: {folder} has no evaluated run of another checkout")
    for run in runs:
        (into := RESULTS / "runs" / run.name).mkdir(parents=True, exist_ok=True)
        for name in RUN:
            shutil.copy(run / name, into / name)
        facts = json.loads((into / "provenance.json").read_text(encoding="utf-8"))
        write_json(into / "provenance.json", facts | {"command": without_places(facts["command"])})
        print(f"recorded {run.name}")


def without_places(command: str) -> str:
    """Return a command without the options that only say where something lies on the machine it ran on."""
    return re.sub(r" --(data|results)-dir(=| )\S+", "", command)


def make_page(seeds: int, data_dir: Path | None) -> None:
    """Make the page from the recorded evaluations of every run that it needs."""
    suite = Suite.prepare(Console(), ImageSource(data_dir=data_dir), RESULTS, "cpu")
    runs = [Run(RESULTS / "runs" / run_name(config), config) for config in paper_runs(suite, seeds, seeds)]
    found = {run.name: recorded(run, suite.dataset, suite.panel) for run in runs}
    evaluations = {name: evaluation for name, evaluation in found.items() if evaluation is not None}
    if missing := found.keys() - evaluations.keys():
        names = ", ".join(sorted(missing))
        sys.exit(f"error: {len(missing)} runs are not recorded with these settings, images and classifiers: {names}")
    print_verdicts(suite, present(suite, runs, evaluations, suite.floors(DIMS)), strict=False)


if __name__ == "__main__":
    main()
