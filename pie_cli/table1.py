"""Table 1 (section 5.2): the sharpness of samples, with its error, its audit, and a measure of realism beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pie_cli import evaluation, figures, metrics
from pie_cli.classifier import Classifier
from pie_cli.data import Dataset
from pie_cli.evaluation import STRIP, Evaluation
from pie_cli.inference import clean
from pie_cli.paper import SHARPNESS_LATENT_DIM, TABLE_1
from pie_cli.tables import write_table

NOTE = (
    "Sharpness: variance of the response to the four-neighbour Laplacian, valid border, images in [0, 1] and clipped, "
    "mean and standard error over the images; samples from N(0, I). More is not better: compare with the true images, "
    "and with the Fréchet distance and precision of the same samples to the test images, in the features of a small "
    "classifier (not Inception's: comparable within this table only). The true row's realism is that of the first "
    "training images, the best that a sampler could do."
)


@dataclass(frozen=True)
class Row:
    """A row of Table 1.

    Arguments:
        name: what it shows.
        paper: the paper's sharpness, nan where it has none.
        numbers: figures of merit, as `evaluation.evaluate` names them.
        audit: the sharpness under each convention.
        sharpness: of each image, (N,).
        strip: a few of the images, (STRIP, C, H, W).
    """

    name: str
    paper: float
    numbers: dict[str, float]
    audit: dict[str, float]
    sharpness: NDArray[np.float32]
    strip: NDArray[np.float32]


def true_row(dataset: Dataset, classifier: Classifier) -> Row:
    """Return the row of the test images themselves."""
    images = clean(dataset.test)
    mean, error = metrics.sharpness(images)
    numbers = {"sharpness": mean, "sharpness_error": error, "sharpness_unclipped": mean}
    numbers |= metrics.realism(classifier, clean(dataset.train[: len(images)]), images)
    sharpness = metrics.laplacian_variance(images).numpy()
    strip = images[:STRIP].numpy()
    return Row("true", TABLE_1["true"], numbers, evaluation.audit(images), sharpness, strip)


def row(name: str, of: Evaluation) -> Row:
    """Return the row of a trained run; PIE's figure in the paper has no ε₀² beside it, so it stands at each."""
    return Row(name, TABLE_1[name.split()[0].lower()], of.numbers, of.audit, of.sharpness, of.strip)


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the table."""
    true = rows[0].numbers["sharpness"]
    return pd.DataFrame(
        {
            "": r.name,
            "paper": r.paper,
            "sharpness": r.numbers["sharpness"],
            "± (s.e.)": r.numbers["sharpness_error"],
            "unclipped": r.numbers["sharpness_unclipped"],
            "|sharpness − true|": abs(r.numbers["sharpness"] - true),
            "Fréchet distance": r.numbers["frechet_distance"],
            "precision": r.numbers["precision"],
            "parameters": r.numbers.get("parameters", np.nan),
            "training, s": r.numbers.get("training_seconds", np.nan),
        }
        for r in rows
    )


def audit_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the same images under each convention in use, a column a row of Table 1."""
    return pd.DataFrame({"convention": list(rows[0].audit), **{r.name: list(r.audit.values()) for r in rows}})


def write(rows: Sequence[Row], folder: Path, provenance: str, quick: bool) -> list[Path]:
    """Write the table, its audit and its figure to `folder`; return the paths."""
    note = f"{'Quick runs. ' if quick else ''}{NOTE} d = {SHARPNESS_LATENT_DIM}. {provenance}"
    files = write_table(frame(rows), folder / "table1", note, digits=3)
    audit_note = f"Each line changes one thing of the first. {provenance}"
    files += write_table(audit_frame(rows), folder / "table1_audit", audit_note, digits=3)
    names = [r.name for r in rows]
    title = f"sharpness of samples, d = {SHARPNESS_LATENT_DIM}{' (quick runs)' if quick else ''}"
    figure = figures.sharpness([r.sharpness for r in rows], [r.strip for r in rows], names, title)
    arrays = {name: of.sharpness for name, of in zip(names, rows, strict=True)}
    return [*files, *figures.save(figure, folder / "table1"), figures.save_data(folder / "table1", **arrays)]
