"""Table 1 (section 5.2): the sharpness of samples, with its error, its audit, and a measure of realism beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pie_cli import figures, metrics
from pie_cli.classifier import Classifier, features_of
from pie_cli.data import Dataset
from pie_cli.evaluation import STRIP, Evaluation, audit
from pie_cli.inference import clean
from pie_cli.paper import SHARPNESS_LATENT_DIM, TABLE_1
from pie_cli.tables import write_table

NOTE = (
    "Sharpness: variance of the response to the four-neighbour Laplacian, valid border, images in [0, 1] and clipped, "
    "mean and standard error over the images; samples from N(0, I). More is not better: compare with the true images, "
    "and with the Fréchet distance and precision of the same samples to the test images, in the features of a small "
    "classifier (not Inception's: comparable within this table only). The true row's realism is that of as "
    "many training images, about the best that a sampler could do."
)


def true_images(dataset: Dataset, classifier: Classifier) -> Evaluation:
    """Return the row of the test images themselves: what is measured of samples, of them."""
    images = clean(dataset.test)
    mean, error = metrics.sharpness(images)
    numbers = {"sharpness": mean, "sharpness_error": error, "sharpness_unclipped": mean}
    numbers |= metrics.realism(classifier, clean(dataset.train[: len(images)]), features_of(classifier, images))
    sharpness, no_plane = metrics.laplacian_variance(images).numpy(), np.empty((0, 2), np.float32)
    return Evaluation(numbers, audit(images), sharpness, images[:STRIP].numpy(), no_plane)


def frame(rows: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Return the table of the rows by name, the true images first.

    PIE's figure in the paper has no ε₀² beside it, so it stands at each.
    """
    true = rows["true"].numbers["sharpness"]
    return pd.DataFrame(
        {
            "": name,
            "paper": TABLE_1[name.split()[0].lower()],
            "sharpness": of.numbers["sharpness"],
            "± (s.e.)": of.numbers["sharpness_error"],
            "unclipped": of.numbers["sharpness_unclipped"],
            "|sharpness − true|": abs(of.numbers["sharpness"] - true),
            "Fréchet distance": of.numbers["frechet_distance"],
            "precision": of.numbers["precision"],
            "parameters": of.numbers.get("parameters", np.nan),
            "training, s": of.numbers.get("training_seconds", np.nan),
        }
        for name, of in rows.items()
    )


def audit_frame(rows: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Return the same images under each convention in use, a column a row of Table 1."""
    columns = {name: list(of.audit.values()) for name, of in rows.items()}
    return pd.DataFrame({"convention": list(rows["true"].audit), **columns})


def write(rows: Mapping[str, Evaluation], folder: Path, provenance: str, quick: bool) -> list[Path]:
    """Write the table, its audit and its figure to `folder`; return the paths."""
    note = f"{'Quick runs. ' if quick else ''}{NOTE} d = {SHARPNESS_LATENT_DIM}. {provenance}"
    files = write_table(frame(rows), folder / "table1", note, digits=3)
    audit_note = f"Each line changes one thing of the first. {provenance}"
    files += write_table(audit_frame(rows), folder / "table1_audit", audit_note, digits=3)
    title = f"sharpness of samples, d = {SHARPNESS_LATENT_DIM}{' (quick runs)' if quick else ''}"
    arrays = {name: of.sharpness for name, of in rows.items()}
    figure = figures.sharpness(list(arrays.values()), [of.strip for of in rows.values()], list(arrays), title)
    return [*files, *figures.save(figure, folder / "table1"), figures.save_data(folder / "table1", **arrays)]
