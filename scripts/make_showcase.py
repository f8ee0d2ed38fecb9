#!/usr/bin/env python3
"""Put a finished run into results/showcase, which comes with the program: its parameters in half precision.

    python scripts/make_showcase.py results/pie-d10-eps0.01-seed0
    python scripts/make_showcase.py      # only evaluates it, and fits the tables of compressed files, again

It refuses where that changes the test MSE of decoding from z by 1 % or more. Files that the shipped run has compressed
cannot be read any more afterwards; tests/data/digits.pie is one of them, and is written again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import torch

from pie_cli.codec.compress import compress
from pie_cli.codec.files import load_pie
from pie_cli.codec.fitting import fit_tables
from pie_cli.data.load import load_dataset
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.metrics.inference import clean, in_batches
from pie_cli.metrics.realism import Panel
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE, load_showcase
from pie_cli.runs.folder import Run

LARGEST_CHANGE = 0.01
FILE = Path(__file__).parents[1] / "tests" / "data" / "digits.pie"


def main() -> None:
    """Copy what describes the run, write its weights, compare what they do, evaluate them, and fit the tables."""
    if len(sys.argv) > 1:
        copy(Run.open(Path(sys.argv[1])))
    shown = Run.open(SHOWCASE)
    dataset = load_dataset(shown.config.resolved.dataset)
    torch.set_num_threads(1)  # as the record's runs are evaluated
    evaluate(shown, dataset, Panel.load_or_train(SHOWCASE.parent, dataset), "cpu")
    fit_tables(load_pie(shown, "cpu"), dataset.train.images, print).save(shown.folder)
    FILE.write_bytes(compress(load_showcase(), load_dataset("digits").test.images[:20], keep=1))


def copy(run: Run) -> None:
    """Copy a run; exit if half precision changes too much."""
    images = clean(load_dataset(run.config.resolved.dataset).test)

    def mse(model: Autoencoder) -> float:
        return reconstruction_mse(images, in_batches(model.reconstruct, images, model))

    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "metrics.csv", "provenance.json"):
            shutil.copy(run.folder / name, folder)
        shown = Run.open(Path(folder))
        shown.save_weights(run.load_model(), half=True)
        before, after = mse(run.load_model()), mse(shown.load_model())
        size = shown.weights.stat().st_size / 1e6
        print(f"test MSE {before:.6f} in float32, {after:.6f} in float16 ({after / before - 1:+.2%}); {size:.1f} MB")
        if abs(after / before - 1) >= LARGEST_CHANGE:
            sys.exit("error: half precision changes too much")
        shutil.copytree(folder, SHOWCASE, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
