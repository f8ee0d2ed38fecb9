"""Fig. 7, 8 and 9 of all ε₀² beside each other."""

import math
from collections.abc import Mapping

import torch

from pie_cli import constants as paper
from pie_cli.evaluation.cache import Evaluation
from pie_cli.metrics.inference import clean, encode_pairs, in_batches, interpolate, prior_samples
from pie_cli.models.base import Autoencoder
from pie_cli.paper.suite import Suite
from pie_cli.plots import figures
from pie_cli.report.figures import pair_rows, sheet


def draw_figures(suite: Suite, evaluations: Mapping[str, Evaluation]) -> None:
    """Draw Fig. 7, one column for each ε₀², Fig. 8, one panel for each, and Fig. 9, of the smallest ε₀²."""
    folder, columns, paths, models = suite.place.results_dir, [], [], []
    fig7, fig8 = dict[str, figures.Array](), dict[str, figures.Array]()
    for eps2 in paper.EPS2_VALUES:
        run = suite.place.run(suite.config("pie", paper.LATENT_DIM, 0, eps2))
        models.append(run.load_model(suite.place.accelerator))
        images = {name: tensor.numpy() for name, tensor in _column(suite, models[-1]).items()}
        columns.append(images | {"plane": evaluations[run.name].plane})
        paths.append(_interpolations(suite, models[-1], paper.MANY_INTERPOLATIONS).numpy())
        fig7 |= {f"{name}_{eps2:g}": array for name, array in columns[-1].items()}
        fig8[f"interpolations_{eps2:g}"] = paths[-1]
    labels, titles = suite.dataset.test.labels.numpy(), [suite.title(eps2) for eps2 in paper.EPS2_VALUES]
    figures.save(figures.figure_7(columns, labels, titles), folder / "fig7")
    figures.save_data(folder / "fig7", labels=labels, **fig7)
    figures.save(figures.panels(paths, titles), folder / "fig8")
    figures.save_data(folder / "fig8", **fig8)
    codes, samples = prior_samples(models[0], paper.SHEET, 1.0, seed=0)
    title = f"PIE, d = {paper.LATENT_DIM}, {titles[0]}\n{paper.SHEET} samples at N(0, 1), seed 0"
    figures.save(figures.image_grid(sheet(samples, 2 * paper.COLUMNS).numpy(), title), folder / "fig9")
    figures.save_data(folder / "fig9", codes=codes.numpy(), samples=samples.numpy())


def _column(suite: Suite, model: Autoencoder) -> dict[str, torch.Tensor]:
    """Return the images of rows (a) to (d) of Fig. 7."""
    originals = clean(suite.dataset.test[: paper.RECONSTRUCTIONS])
    return {
        "reconstructions": pair_rows(originals, in_batches(model.reconstruct, originals, model)),
        "samples": sheet(prior_samples(model, paper.SAMPLES, 1.0, seed=0)[1]),
        "narrow": sheet(prior_samples(model, paper.SAMPLES, math.sqrt(paper.NARROW_VARIANCE), seed=0)[1]),
        "interpolations": _interpolations(suite, model, paper.INTERPOLATIONS),
    }


def _interpolations(suite: Suite, model: Autoencoder, rows: int) -> torch.Tensor:
    """Return paths between the test images (0, 1), (2, 3), …: not chosen for their looks."""
    pairs = torch.arange(2 * rows).view(rows, 2)
    return interpolate(model, encode_pairs(model, suite.dataset.test, pairs), torch.linspace(0, 1, paper.COLUMNS))[1]
