"""The page that a reproduction writes: what the paper states, what was measured, and the verdicts."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pie_cli.config.recipes import Recipe
from pie_cli.config.run import FULL_EPOCHS
from pie_cli.io.text import markdown_text
from pie_cli.paper import table1
from pie_cli.paper.claims import Judgement, Numbers
from pie_cli.plots.tables import markdown

FIGURES = {
    "fig7": (
        "Fig. 7: reconstructions, samples, interpolations and UMAP at three ε₀²",
        "The paper: with ε₀² = 1 the model cannot reconstruct; lower values reconstruct better; narrowing the samples "
        "to N(0, 0.5) gives more accurate images; interpolations at low ε₀² pass through digits; UMAP separates the "
        "digits better and looks less Gaussian as ε₀² falls (section 5.1).",
    ),
    "fig8": (
        "Fig. 8: linear interpolations",
        "The paper: between a picture on the left and one on the right, for each ε₀² (appendix).",
    ),
    "fig9": ("Fig. 9: samples", "The paper: samples from the manifold learned by the Gaussian PIE (appendix)."),
}
TABLE_1 = (
    "The paper: true 0.18, VAE 0.08, WAE 0.07, PIE 0.49; higher is called better (section 5.2). Here the distance to "
    "the true images and measures of realism stand beside it."
)

VERDICTS_NOTE = (
    "docs/CRITERIA.md has the criteria; they were written before the PIEs of the record were looked at. With the "
    "recipe stable more differs between two values of ε₀² than ε₀²: the training images carry noise of that variance, "
    "and a value below 0.1 is reached from there in the course of the training."
)

GOALS_NOTE = (
    "What this implementation set itself beyond the paper's claims. Test images; z-only decoding; the paper's loss, "
    "but for the last row. Fréchet distances are those of small classifiers' features."
)

FLOORS = (
    "PCA of the same dimension is the floor of reconstructions, and draws of N(0, I) that of planes. The realism of "
    "the real images is that of as many training images."
)


def results_page(
    verdicts: Mapping[Recipe, Sequence[Judgement]],
    tables: Mapping[str, pd.DataFrame],
    certificates: Mapping[Recipe, Numbers],
    facts: Mapping[str, str],
    quick: bool,
) -> str:
    """Return results/README.md: first the claims, with a column for each recipe.

    `tables` are "table1", its "audit", and the "evaluation" of all runs; of full ones the "goals" too. `facts`, shown
    without markup, say where the numbers come from. Of `quick` runs, shorter than full ones, the page says so first.
    """
    parts = ["# Results: the paper beside the measurement", ""]
    if quick:
        parts += [
            f"> **Quick profile: trained for {facts['epochs of a training']} instead of {FULL_EPOCHS} epochs.** A "
            "first look, not a reproduction; no verdict compares these numbers with the paper's.",
            "",
        ]
    parts += [*_claims(verdicts), "", VERDICTS_NOTE, ""]
    parts += [f"- {name}: {markdown_text(value)}" for name, value in facts.items()]
    for recipe, judgements in verdicts.items():
        parts += ["", f"## The claims, recipe {recipe}", *_parts(judgements)]
    if "goals" in tables:
        parts += ["", "## Goals", "", GOALS_NOTE, "", markdown(tables["goals"])]
    for name, (title, stated) in FIGURES.items():
        parts += ["", f"## {title}", "", stated, ""]
        for recipe in verdicts:
            parts += [f"![{title}, recipe {recipe}]({name}-{recipe}.png)", ""]
    parts += ["", "## Table 1: sharpness", "", TABLE_1, "", "![Table 1: sharpness](table1.png)", ""]
    parts += [markdown(tables["table1"], 3), "", table1.NOTE, ""]
    parts += ["The same images under each convention that could be meant:", "", markdown(tables["audit"], 3), ""]
    parts += ["## Inverse certificate", "", "PIE with d = 10 and ε₀² = 0.01, its trained weights reloaded:", ""]
    for recipe, certificate in certificates.items():
        parts += [f"- {recipe}, {name}: {value:.5g}" for name, value in certificate.items()]
    parts += ["", "## All runs", "", FLOORS, ""]
    parts += [markdown(tables["evaluation"], 4), ""]
    return "\n".join(parts)


def _claims(verdicts: Mapping[Recipe, Sequence[Judgement]]) -> list[str]:
    """Return the table of the claims: what the paper says and shows, and each recipe's verdict."""
    lines = [f"| | the paper's claim | the paper | {' | '.join(verdicts)} |", "|---" * (3 + len(verdicts)) + "|"]
    for of_one in zip(*verdicts.values(), strict=True):
        j = of_one[0]
        cells = [f"**{of.verdict}**{f' (so far: {of.tendency})' if of.tendency else ''}" for of in of_one]
        lines.append(f"| {j.claim} | {j.text} | {j.section}, {j.paper} | {' | '.join(cells)} |")
    return lines


def _parts(judgements: Sequence[Judgement]) -> list[str]:
    """Return each claim's parts, whether they hold, and the numbers behind them."""
    lines = []
    for j in judgements:
        lines += ["", f"**{j.claim}. {j.text} {j.verdict}.** {f'Because: {j.reason}.' if j.reason else ''}".rstrip()]
        for text, outcome in j.parts.items():
            mean, half_width, least = j.differences[text]
            interval = f" ± {half_width:.2g}" if half_width is not None else ""
            lines += [f"- {outcome}: {text} (by {mean:.3g}{interval}; least effect {least:g})"]
        numbers = "; ".join(f"{name}: {value:.4g}" for name, value in j.numbers.items())
        lines += ["", f"Measured: {numbers}."] if numbers else []
    return lines
