"""One MNIST epoch of the default PIE, at an earlier commit and now: `python -m bench.epoch REVISION`.

Each side runs its own `pie train --epochs 1`, and they take turns, so that both see the same state of the machine. The
times are those that the runs record: training and validation, without the start of the interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import torch

from bench.report import machine, table
from pie_cli.io.files import write_text

ROOT = Path(__file__).resolve().parent.parent


def export(revision: str, folder: Path) -> Path:
    """Write the sources of a revision into a folder and return it."""
    archive = folder / "sources.tar"
    subprocess.run(["git", "archive", "--output", archive, revision, "pie_cli"], cwd=ROOT, check=True)
    with tarfile.open(archive) as sources:
        sources.extractall(folder, filter="data")
    return folder


def epoch_seconds(sources: Path, options: list[str]) -> tuple[float, float]:
    """Train one epoch with these sources; return its seconds and its validation MSE from z alone."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "pie_cli", "train", "--epochs", "1", "--results-dir", results, *options]
        environment = {**os.environ, "PYTHONPATH": str(sources)}
        subprocess.run(command, cwd=results, env=environment, check=True, capture_output=True)
        (folder,) = Path(results).glob("pie-*")
        seconds = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["wall_seconds"]
        header, row = ((folder / "metrics.csv").read_text(encoding="utf-8").splitlines())[:2]
        return float(seconds), float(dict(zip(header.split(","), row.split(","), strict=True))["val_mse"])


def main() -> None:
    """Write a row for each side: the median time, all times, the speed-up over the first side, the validation MSE."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="the earlier commit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("bench/EPOCH.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = export(arguments.revision, Path(folder))
        sides: dict[str, tuple[Path, list[str]]] = {
            f"before ({arguments.revision[:7]})": (before, []),
            "now": (ROOT, []),
            "now, --precision bf16-mixed": (ROOT, ["--precision", "bf16-mixed"]),
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(arguments.repeats):
            for name, (sources, options) in sides.items():
                measured[name].append(epoch_seconds(sources, options))
    medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in measured.items()}
    first = next(iter(medians.values()))
    rows = []
    for name, runs in measured.items():
        every = ", ".join(f"{seconds:.0f}" for seconds, _ in runs)
        rows.append([name, f"{medians[name]:.1f} ({every})", f"{first / medians[name]:.2f}", f"{runs[0][1]:.4f}"])
    command = f"python -m bench.epoch {arguments.revision} --repeats {arguments.repeats}"
    page = [
        "# One MNIST epoch of the default PIE, before and now",
        f"Written by `{command}`. {' '.join((__doc__ or '').split('. ', 1)[1].split())}",
        machine(torch.device("cpu")),
        table(["", "seconds, median (all)", "times faster", "validation MSE from z alone"], rows),
    ]
    write_text(arguments.output, "\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
