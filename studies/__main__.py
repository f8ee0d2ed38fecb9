"""`python -m studies [NAME …]`: measure the rows that the tables of these studies, or of all, lack; write the page.

The tables are the record: a variant that has a row in studies/results/ is not measured again, whatever machine and
commit its row is from (the page names the commits). Trainings are under results/studies/; interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pie_cli.data.load import load_dataset
from pie_cli.metrics.classifier import load_or_train_classifiers
from studies.page import STUDIES, write_page
from studies.study import Row, Study, recorded
from studies.variant import BRIEF, ROW

RUNS = Path("results/studies")


def main() -> None:
    """Run the studies that the command line names."""
    names = {study.name: study for study in STUDIES}
    parser = argparse.ArgumentParser(prog="python -m studies", description="Measure what the studies' tables lack.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(names)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trainings at a time")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(names)}")
    studies = [names[name] for name in arguments.names or names]

    dataset = load_dataset("mnist")
    load_or_train_classifiers(RUNS.parent, dataset.train, dataset.name)  # the record's, in a checkout
    rows, done = recorded(failed=True), recorded()  # what failed is measured again, and stands in its table until then
    wanted = {study.options(variant): study.brief for study in studies for variant in study.variants}
    missing = {options: brief for options, brief in wanted.items() if options not in done}
    _write(studies, rows)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for future in as_completed([pool.submit(measure, *one) for one in missing.items()]):
            row = future.result()
            rows[str(row["options"])] = row
            print(row["options"], row.get("remark") or f"MSE {row['mse']:.4f}", sep=": ", flush=True)
            _write(studies, rows)


def _write(studies: Sequence[Study], rows: Mapping[str, Row]) -> None:
    """Write the studies' tables and the page, so that both are up to date whenever this program is stopped."""
    for study in studies:
        study.write(rows)
    write_page()


def measure(options: str, brief: bool) -> Row:
    """Train a variant, or resume its training, and measure it, `brief` or not; return its row of the table.

    A training that fails is a result too: its row has the last line that it printed.
    """
    folder = RUNS / re.sub(r"[^\w.+]+", "_", options).strip("_")
    if not (folder / ROW).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "log.txt", "w", encoding="utf-8") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "studies.variant", str(folder), *[BRIEF] * brief, *shlex.split(options)]
            done = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
        if done.returncode:
            said = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
            return {"options": options, "remark": said[-1] if said else f"exit code {done.returncode}"}
    return {"options": options, **json.loads((folder / ROW).read_text(encoding="utf-8"))}


if __name__ == "__main__":
    main()
