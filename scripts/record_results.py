#!/usr/bin/env python3
"""Keep the record of a full reproduction in results/ of this repository, without its models' weights.

    python scripts/record_results.py FOLDER

FOLDER is the --results-dir of `pie reproduce --profile paper`, in another checkout. The page, the figures, the tables
and the classifier that Fréchet distances rest on keep their names; what describes each run goes to results/runs/NAME,
where no command takes it for a run that can be loaded.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
CLASSIFIER = "classifier-mnist.safetensors"
PAGE = ("README.md", "claims.json", "evaluation.*", "table1*.[cmpt]*", "fig[789].p*", CLASSIFIER)
RUN = ("config.json", "metrics.csv", "provenance.json", "evaluation.json", "learning_curve.png")


def main() -> None:
    """Copy what there is to copy, in the place of the record that is there, and say what it weighs."""
    parser = argparse.ArgumentParser(description="Keep the record of a full reproduction in results/.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the --results-dir of the reproduction")
    source = parser.parse_args().folder.resolve()
    page = [path for pattern in PAGE for path in sorted(source.glob(pattern))]
    runs = [path for name in RUN for path in sorted(source.glob(f"*-seed*/{name}"))]
    if source == RESULTS or not runs or not page or not (source / CLASSIFIER).exists():
        sys.exit(f"error: {source} has no full reproduction of another folder")
    shutil.rmtree(RESULTS / "runs", ignore_errors=True)
    for path in [*page, *runs]:
        into = RESULTS if path.parent == source else RESULTS / "runs" / path.parent.name
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, into / path.name)
    print(f"{len(page) + len(runs)} files, {sum(path.stat().st_size for path in [*page, *runs]) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
