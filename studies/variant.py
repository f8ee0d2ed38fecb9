"""`python -m studies.variant FOLDER OPTION …`: train one variant, or go on with it, and measure its row.

It is `pie train OPTION …`, after the changes that the options of the form "+name" call for, and then an evaluation in
the same, changed, program: on the validation images, because the test images decide nothing.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from pie_cli import cli
from pie_cli.classifier import load_or_train_classifier
from pie_cli.data import Dataset, load_dataset
from pie_cli.evaluation import evaluate
from pie_cli.files import write_json
from pie_cli.inference import clean, decode_kept
from pie_cli.metrics import reconstruction_mse
from pie_cli.pie import PIE
from pie_cli.runs import Run
from studies import changes

ROW = "row.json"


def main() -> None:
    """Write the variant's row into its folder."""
    folder, *words = sys.argv[1:]
    torch.set_num_threads(1)
    for word in words:
        if word.startswith("+"):
            getattr(changes, word[1:])()
    options = [word for word in words if not word.startswith("+")]
    sys.argv = ["pie", "train", "--resume", "--results-dir", folder, *options]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise
    (run_folder,) = Path(folder).glob("*-d10-*")
    run, dataset = Run.open(run_folder), load_dataset("mnist", offline=True)
    classifier = load_or_train_classifier(Path(folder).parents[1], dataset.train, dataset.name)
    judged = replace(dataset, test=dataset.validation)
    row: dict[str, object] = dict(evaluate(run, judged, classifier, "cpu").numbers)
    if isinstance(model := run.load_model(), PIE):
        row |= _mse_by_level(model, judged)
    history = pd.read_csv(run_folder / "metrics.csv")
    row["mse_by_epoch"] = " ".join(f"{mse:.4f}"[1:] for mse in history["val_mse"])
    write_json(Path(folder) / ROW, row)


def _mse_by_level(model: PIE, dataset: Dataset) -> dict[str, float]:
    """Return the MSE of decoding with 64, 196 and 392 numbers kept: where the loss arises."""
    images, found = clean(dataset.test), {}
    for keep in range(1, len(model.residual_sizes)):
        kept = model.latent_dim + sum(model.residual_sizes[-keep:])
        found[f"mse_{kept}"] = reconstruction_mse(images, decode_kept(model, images, keep))
    return found


if __name__ == "__main__":
    main()
