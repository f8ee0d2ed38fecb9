"""Table 1 (section 5.2): the sharpness of samples, with its error, its audit, and a measure of realism beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pie_cli.config.run import RunConfig
from pie_cli.constants import SHARPNESS_LATENT_DIM, TABLE_1
from pie_cli.data.base import Dataset
from pie_cli.evaluation.cache import Evaluation
from pie_cli.evaluation.evaluate import grey_levels
from pie_cli.evaluation.measure import audit
from pie_cli.io.text import number
from pie_cli.metrics.images import laplacian_variance, sharpness
from pie_cli.metrics.inference import clean
from pie_cli.metrics.realism import Panel
from pie_cli.models.config import PIEConfig
from pie_cli.plots import figures
from pie_cli.plots.tables import write_table

STRIP = 12  # images beside each row's distribution
NOTE = (
    "Sharpness: variance of the response to the four-neighbour Laplacian, valid border, images in [0, 1] and clipped, "
    "mean and standard error over the images; samples from N(0, I). More is not better: compare with the true images, "
    "and with how real the same samples are beside the test images, in the features of three small classifiers (not "
    "Inception's: comparable within this table only; docs/CRITERIA.md says what is accepted). The true "
    "row's realism is that of as many training images, about the best that a sampler could do."
)


@dataclass(frozen=True)
class Row:
    """A row of Table 1."""

    label: str  # what it is called
    paper: float  # the paper's figure
    of: Evaluation  # what was measured


def row_of(config: RunConfig, evaluation: Evaluation) -> Row:
    """Return a model's row. PIE's figure in the paper has no ε₀² beside it, so it stands at each."""
    pie = f" {config.recipe}, ε₀² = {number(config.model.eps2)}" if isinstance(config.model, PIEConfig) else ""
    return Row(config.model_name.upper() + pie, TABLE_1.get(config.model_name, np.nan), evaluation)


def true_images(dataset: Dataset, panel: Panel) -> Row:
    """Return the row of the test images themselves: what is measured of samples, of them."""
    images = clean(dataset.test)
    mean, error = sharpness(images)
    numbers = {"sharpness": mean, "sharpness_error": error, "sharpness_unclipped": mean}
    numbers |= panel.realism(clean(dataset.train[: len(images)]))
    each, no_plane = laplacian_variance(images).numpy(), np.empty((0, 2), np.float32)
    pictures = {"samples": grey_levels(images[:STRIP])}
    return Row("true", TABLE_1["true"], Evaluation(numbers, audit(images), each, no_plane, pictures))


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the table of the rows, the true images first."""
    true = rows[0].of.numbers["sharpness"]
    return pd.DataFrame(
        {
            "": row.label,
            "paper": row.paper,
            "sharpness": row.of.numbers["sharpness"],
            "± (s.e.)": row.of.numbers["sharpness_error"],
            "unclipped": row.of.numbers["sharpness_unclipped"],
            "|sharpness − true|": abs(row.of.numbers["sharpness"] - true),
            "accepted": row.of.numbers["accepted"],
            "Fréchet distance": row.of.numbers["frechet_distance"],
            "precision": row.of.numbers["precision"],
            "parameters": row.of.numbers.get("parameters", np.nan),
            "training, s": row.of.numbers.get("training_seconds", np.nan),
        }
        for row in rows
    )


def audit_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the same images under each convention in use, a column a row of Table 1."""
    columns = {row.label: list(row.of.audit.values()) for row in rows}
    return pd.DataFrame({"convention": list(rows[0].of.audit), **columns})


def write(rows: Sequence[Row], folder: Path, provenance: str, quick: bool) -> list[Path]:
    """Write the table, its audit and its figure to `folder`; return the paths."""
    note = f"{'Quick runs. ' if quick else ''}{NOTE} d = {SHARPNESS_LATENT_DIM}. {provenance}"
    files = write_table(frame(rows), folder / "table1", note, digits=3)
    audit_note = f"The first line is Table 1's. {provenance}"
    files += write_table(audit_frame(rows), folder / "table1_audit", audit_note, digits=3)
    title = f"sharpness of samples, d = {SHARPNESS_LATENT_DIM}{' (quick runs)' if quick else ''}"
    arrays = {row.label: row.of.sharpness for row in rows}
    figure = figures.sharpness(
        list(arrays.values()), [row.of.picture("samples")[:STRIP] for row in rows], list(arrays), title
    )
    return [*files, *figures.save(figure, folder / "table1"), figures.save_data(folder / "table1", **arrays)]
