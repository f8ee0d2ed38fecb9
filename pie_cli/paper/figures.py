"""Fig. 7, 8 and 9 of all ε₀² beside each other."""

import math
from collections.abc import Mapping

import torch

from pie_cli.constants import (
    COLUMNS,
    EPS2_VALUES,
    INTERPOLATIONS,
    LATENT_DIM,
    MANY_INTERPOLATIONS,
    NARROW_VARIANCE,
    RECONSTRUCTIONS,
    SAMPLES,
    SHEET,
)
from pie_cli.evaluation.cache import Evaluation
from pie_cli.metrics.inference import clean, encode_pairs, in_batches, interpolate, prior_samples
from pie_cli.models.base import Autoencoder
from pie_cli.paper.suite import Suite
from pie_cli.plots import figures
from pie_cli.report.figures import pair_rows, sheet


def draw_figures(suite: Suite, evaluations: Mapping[str, Evaluation]) -> None:
    """Draw Fig. 7, one column for each ε₀², Fig. 8, one panel for each, and Fig. 9, of the smallest ε₀²."""
    folder, columns, titles, paths, models = suite.place.results_dir, [], [], [], []
    for eps2 in EPS2_VALUES:
        run = suite.place.run(suite.config("pie", LATENT_DIM, 0, eps2))
        models.append(run.load_model(suite.place.accelerator))
        columns.append(_column(suite, models[-1]) | {"plane": torch.from_numpy(evaluations[run.name].plane)})
        paths.append(_interpolations(suite, models[-1], MANY_INTERPOLATIONS).numpy())
        titles.append(suite.title(eps2))
    arrays = [{name: tensor.numpy() for name, tensor in column.items()} for column in columns]
    labels = suite.dataset.test.labels.numpy()
    figures.save(figures.figure_7(arrays, labels, titles), folder / "fig7")
    named = zip(EPS2_VALUES, arrays, strict=True)
    figures.save_data(folder / "fig7", labels=labels, **{f"{k}_{eps2:g}": v for eps2, a in named for k, v in a.items()})
    figures.save(figures.panels(paths, titles), folder / "fig8")
    eps_paths = zip(EPS2_VALUES, paths, strict=True)
    figures.save_data(folder / "fig8", **{f"interpolations_{eps2:g}": path for eps2, path in eps_paths})
    codes, samples = prior_samples(models[0], SHEET, 1.0, seed=0)
    title = f"PIE, d = {LATENT_DIM}, {titles[0]}\n{SHEET} samples at N(0, 1), seed 0"
    figures.save(figures.image_grid(sheet(samples, 2 * COLUMNS).numpy(), title), folder / "fig9")
    figures.save_data(folder / "fig9", codes=codes.numpy(), samples=samples.numpy())


def _column(suite: Suite, model: Autoencoder) -> dict[str, torch.Tensor]:
    """Return the images of rows (a) to (d) of Fig. 7."""
    originals = clean(suite.dataset.test[:RECONSTRUCTIONS])
    return {
        "reconstructions": pair_rows(originals, in_batches(model.reconstruct, originals, model)),
        "samples": sheet(prior_samples(model, SAMPLES, 1.0, seed=0)[1]),
        "narrow": sheet(prior_samples(model, SAMPLES, math.sqrt(NARROW_VARIANCE), seed=0)[1]),
        "interpolations": _interpolations(suite, model, INTERPOLATIONS),
    }


def _interpolations(suite: Suite, model: Autoencoder, rows: int) -> torch.Tensor:
    """Return paths between the test images (0, 1), (2, 3), …: not chosen for their looks."""
    pairs = torch.arange(2 * rows).view(rows, 2)
    return interpolate(model, encode_pairs(model, suite.dataset.test, pairs), torch.linspace(0, 1, COLUMNS))[1]
