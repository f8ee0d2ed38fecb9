"""`python -m studies.variant FOLDER OPTION …`: train one variant, or resume its training, and measure its row.

It runs `pie train OPTION …` on the experiment that the words "+name" make, and then evaluates the same model on the
validation images, because the test images must decide nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from pie_cli.cli import app as cli
from pie_cli.data.base import Dataset
from pie_cli.data.load import load_dataset
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.io.files import write_json
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.metrics.inference import clean, decode_kept
from pie_cli.metrics.realism import Panel
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run
from pie_cli.training.loop import Parts
from studies import changes

ROW = "row.json"


def changed(run: Run, names: Iterable[str]) -> tuple[Run, Parts]:
    """Return a run, and the parts of its training, after the changes of these names."""
    experiment = changes.Experiment(run)
    for name in names:
        experiment = getattr(changes, name)(experiment)
    return replace(experiment.run, build=experiment.build), experiment.parts


def main() -> None:
    """Write the variant's row into its folder."""
    folder, *words = sys.argv[1:]
    torch.set_num_threads(1)
    names = [word[1:] for word in words if word.startswith("+")]
    options = [word for word in words if not word.startswith("+")]
    if not any(Path(folder).glob("*-d10-*/weights.safetensors")):
        sys.argv = ["pie", "train", "--resume", "--results-dir", folder, *options]
        cli.main(lambda run: changed(run, names))
    (run_folder,) = Path(folder).glob("*-d10-*")
    (run, _), dataset = changed(Run.open(run_folder), names), load_dataset("mnist", offline=True)
    judged = replace(dataset, test=dataset.validation)
    panel = Panel.load_or_train(Path(folder).parents[1], judged)
    row: dict[str, object] = dict(evaluate(run, judged, panel, "cpu").numbers)
    if isinstance(model := run.load_model(), PIE):
        row |= _mse_by_level(model, judged)
    history = pd.read_csv(run_folder / "metrics.csv")
    row["mse_by_epoch"] = " ".join(f"{mse:.4f}"[1:] for mse in history["val_mse"])
    write_json(Path(folder) / ROW, row)


def _mse_by_level(model: PIE, dataset: Dataset) -> dict[str, float]:
    """Return the MSE of decoding with 64, 196 and 392 numbers kept, which shows where the loss arises."""
    images, found = clean(dataset.test), {}
    for keep in range(1, len(model.residual_sizes)):
        kept = model.latent_dim + sum(model.residual_sizes[-keep:])
        found[f"mse_{kept}"] = reconstruction_mse(images, decode_kept(model, images, keep))
    return found


if __name__ == "__main__":
    main()
