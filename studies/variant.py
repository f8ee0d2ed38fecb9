"""`python -m studies.variant FOLDER OPTION …`: train one variant, or resume its training, and measure its row.

It runs `pie train OPTION …` on the experiment that the words "+name" make, and then evaluates the same model on the
validation images, because the test images must decide nothing. With the word "+brief" it does not evaluate. The word
"+pca" alone stands for principal components, which need no training.
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
from pie_cli.evaluation.floors import evaluate_pca
from pie_cli.io.files import write_json
from pie_cli.io.provenance import git_commit
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.metrics.inference import clean, decode_kept
from pie_cli.metrics.realism import Panel
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run
from pie_cli.training.loop import Parts
from studies.changes import named
from studies.changes.experiment import Experiment

ROW = "row.json"
BRIEF = "+brief"  # the word for rows of what the training itself measures
PCA = "+pca"
LATENT_DIM = 10


def changed(run: Run, names: Iterable[str]) -> tuple[Run, Parts]:
    """Return a run, and the parts of its training, after the changes of these names."""
    experiment = Experiment(run)
    for name in names:
        experiment = named(name)(experiment)
    return replace(experiment.run, build=experiment.build), experiment.parts


def main() -> None:
    """Write the variant's row into its folder."""
    folder, *words = sys.argv[1:]
    torch.set_num_threads(1)
    write_json(Path(folder) / ROW, _components(Path(folder)) if PCA in words else _row(Path(folder), words))


def _row(folder: Path, words: list[str]) -> dict[str, object]:
    """Train a variant, or resume its training, and return its row."""
    names = [word[1:] for word in words if word.startswith("+") and word != BRIEF]
    options = [word for word in words if not word.startswith("+")]
    if not any(folder.glob(f"*-d{LATENT_DIM}-*/weights.safetensors")):
        sys.argv = ["pie", "train", "--resume", "--results-dir", str(folder), *options]
        cli.main(lambda run: changed(run, names))
    (run_folder,) = folder.glob(f"*-d{LATENT_DIM}-*")
    run, _ = changed(Run.open(run_folder), names)
    row = _trained(run) if BRIEF in words else _evaluated(run, folder.parents[1])
    by_epoch = " ".join(f"{mse:.4f}"[1:] for mse in pd.read_csv(run_folder / "metrics.csv")["val_mse"])
    return {"commit": run.provenance["commit"], **row, "mse_by_epoch": by_epoch}


def _components(folder: Path) -> dict[str, object]:
    """Return the row of PCA."""
    judged, panel = _judges(folder.parents[1])
    return {"commit": git_commit(), **evaluate_pca(judged, LATENT_DIM, panel, quick=False)}


def _trained(run: Run) -> dict[str, object]:
    """Return what is known of a run without evaluating it."""
    history, model = pd.read_csv(run.folder / "metrics.csv"), run.load_model()
    return {
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "training_seconds": run.provenance["wall_seconds"],
        "mse": float(history["val_mse"].iloc[-1]),
    }


def _evaluated(run: Run, classifiers: Path) -> dict[str, object]:
    """Return the figures of merit of a run on the validation images."""
    judged, panel = _judges(classifiers)
    row: dict[str, object] = dict(evaluate(run, judged, panel, "cpu").numbers)
    if isinstance(model := run.load_model(), PIE):
        row |= _mse_by_level(model, judged)
    return row


def _judges(classifiers: Path) -> tuple[Dataset, Panel]:
    """Return MNIST with its validation images in the place of the test images, and the classifiers of a folder."""
    dataset = load_dataset("mnist", offline=True)
    judged = replace(dataset, test=dataset.validation)
    return judged, Panel.load_or_train(classifiers, judged)


def _mse_by_level(model: PIE, dataset: Dataset) -> dict[str, float]:
    """Return the MSE of decoding with 64, 196 and 392 numbers kept, which shows where the loss arises."""
    images, found = clean(dataset.test), {}
    for keep in range(1, len(model.residual_sizes)):
        kept = model.latent_dim + sum(model.residual_sizes[-keep:])
        found[f"mse_{kept}"] = reconstruction_mse(images, decode_kept(model, images, keep))
    return found


if __name__ == "__main__":
    main()
