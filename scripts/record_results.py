#!/usr/bin/env python3
"""Copy a full reproduction into results/ of this repository, without its models' weights.

    python scripts/record_results.py FOLDER

FOLDER is the --results-dir of `pie reproduce --profile paper`. The page, the figures, the tables and the classifier
that Fréchet distances rest on keep their names; what describes each run goes to results/runs/NAME, where no command
takes it for a run that can be loaded.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAGE = ("README.md", "claims.json", "evaluation.*", "table1*", "fig[789].*", "classifier-mnist.safetensors")
RUN = ("config.json", "metrics.csv", "provenance.json", "evaluation.json", "learning_curve.png")


def main() -> None:
    """Copy what there is to copy, and say what it weighs."""
    source = Path(sys.argv[1]).resolve()
    found = [path for pattern in PAGE for path in sorted(source.glob(pattern))]
    found += [path for name in RUN for path in sorted(source.glob(f"*-seed*/{name}"))]
    if source == RESULTS or not found:
        sys.exit(f"error: {source} has no full reproduction of another folder")
    shutil.rmtree(RESULTS / "runs", ignore_errors=True)
    for path in found:
        into = RESULTS if path.parent == source else RESULTS / "runs" / path.parent.name
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, into / path.name)
    print(f"{len(found)} files, {sum(path.stat().st_size for path in found) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
