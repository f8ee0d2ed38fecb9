"""Fig. 7, 8 and 9 of a recipe: all ε₀² beside each other, from what the evaluations have kept."""

from collections.abc import Mapping

import torch

from pie_cli import constants as paper
from pie_cli.config.naming import run_name
from pie_cli.config.recipes import Recipe
from pie_cli.evaluation.cache import Evaluation
from pie_cli.metrics.inference import clean
from pie_cli.paper.suite import Suite
from pie_cli.plots import figures
from pie_cli.report.figures import pair_rows, sheet


def draw_figures(suite: Suite, recipe: Recipe, evaluations: Mapping[str, Evaluation]) -> None:
    """Draw Fig. 7, one column for each ε₀², Fig. 8, one panel for each, and Fig. 9, of the smallest ε₀²; of seed 0."""
    folder, known = suite.place.results_dir, suite.dataset.test.labels
    labels = None if known is None else known.numpy()
    columns, paths, fig7 = list[dict[str, figures.Array]](), list[figures.Array](), dict[str, figures.Array]()
    for eps2 in paper.EPS2_VALUES:
        of = evaluations[run_name(suite.config("pie", paper.LATENT_DIM, 0, eps2, recipe))]
        columns.append(_column(suite, of))
        paths.append(of.picture("paths"))
        fig7 |= {f"{name}_{eps2:g}": array for name, array in columns[-1].items()}
    titles = [suite.title(recipe, eps2) for eps2 in paper.EPS2_VALUES]
    figures.save(figures.figure_7(columns, labels, titles, suite.dataset.classes), folder / f"fig7-{recipe}")
    figures.save_data(folder / f"fig7-{recipe}", **({} if labels is None else {"labels": labels}), **fig7)
    figures.save(figures.panels(paths, titles), folder / f"fig8-{recipe}")
    of_eps2 = zip(paper.EPS2_VALUES, paths, strict=True)
    figures.save_data(folder / f"fig8-{recipe}", **{f"interpolations_{eps2:g}": images for eps2, images in of_eps2})
    tight = suite.config("pie", paper.LATENT_DIM, 0, paper.EPS2_VALUES[0], recipe)
    samples = evaluations[run_name(tight)].picture("samples")
    title = f"PIE, d = {paper.LATENT_DIM}, {titles[0]}\n{len(samples)} samples at N(0, 1), seed 0"
    rows = sheet(torch.from_numpy(samples), 2 * paper.COLUMNS).numpy()
    figures.save(figures.image_grid(rows, title), folder / f"fig9-{recipe}")
    figures.save_data(folder / f"fig9-{recipe}", samples=samples)


def _column(suite: Suite, of: Evaluation) -> dict[str, figures.Array]:
    """Return rows (a) to (e) of Fig. 7."""
    originals = clean(suite.dataset.test[: paper.RECONSTRUCTIONS])
    reconstructions = torch.from_numpy(of.picture("reconstructions"))
    return {
        "reconstructions": pair_rows(originals, reconstructions).numpy(),
        "samples": sheet(torch.from_numpy(of.picture("samples")[: paper.SAMPLES])).numpy(),
        "narrow": sheet(torch.from_numpy(of.picture("narrow"))).numpy(),
        "interpolations": of.picture("paths")[: paper.INTERPOLATIONS],
        "plane": of.plane,
    }
