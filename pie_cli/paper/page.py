"""The page that a reproduction writes: what the paper states, what was measured, and the verdicts."""

import pandas as pd

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
    "table1": (
        "Table 1: sharpness",
        "The paper: true 0.18, VAE 0.08, WAE 0.07, PIE 0.49; higher is called better (section 5.2). Here the distance "
        "to the true images and a measure of realism stand beside it.",
    ),
}

VERDICTS_NOTE = (
    "Between two values of ε₀² more differs than ε₀²: the training images carry noise of that variance, and a value "
    "below 0.1 is reached from there in the course of the training."
)

GOALS_NOTE = (
    "What this implementation set itself beyond the paper's claims. Test images; z-only decoding; the paper's loss, "
    "but for the last row. Fréchet distances are those of a small classifier's features."
)


def results_page(
    judgements: list[Judgement],
    tables: dict[str, pd.DataFrame],
    certificate: Numbers,
    facts: dict[str, str],
    quick: bool,
    anneals: bool = False,
) -> str:
    """Return results/README.md.

    `tables` are "table1", its "audit", and the "evaluation" of all runs; of full ones the "goals" too. `facts`, shown
    without markup, say where the numbers come from. Of `quick` runs, shorter than full ones, the page says so first;
    where the trainings anneal ε₀², beside the verdicts.
    """
    parts = ["# Results: the paper beside the measurement", ""]
    if quick:
        parts += [
            f"> **Quick profile: trained for {facts['epochs of a training']} instead of {FULL_EPOCHS} epochs.** A "
            "first look, not a reproduction; no verdict compares these numbers with the paper's.",
            "",
        ]
    parts += [f"- {name}: {markdown_text(value)}" for name, value in facts.items()]
    parts += ["", "## Verdicts", "", *([VERDICTS_NOTE, ""] if anneals else []), *_verdicts(judgements)]
    if "goals" in tables:
        parts += ["", "## Goals", "", GOALS_NOTE, "", markdown(tables["goals"])]
    for name, (title, stated) in FIGURES.items():
        parts += ["", f"## {title}", "", stated, "", f"![{title}]({name}.png)", ""]
    parts += [markdown(tables["table1"], 3), "", table1.NOTE, ""]
    parts += ["The same images under every convention in use:", "", markdown(tables["audit"], 3), ""]
    parts += ["## Inverse certificate", "", "PIE with d = 10 and ε₀² = 0.01, its trained weights reloaded:", ""]
    parts += [f"- {name}: {value:.5g}" for name, value in certificate.items()]
    parts += ["", "## All runs", "", "PCA of the same dimension is the floor.", ""]
    parts += [markdown(tables["evaluation"], 4), ""]
    return "\n".join(parts)


def _verdicts(judgements: list[Judgement]) -> list[str]:
    """Return a table of the verdicts and, below it, the numbers behind each; where seeds disagree, it says so."""
    lines = ["| | the paper's claim | section | verdict |", "|---|---|---|---|"]
    for j in judgements:
        tendency = f" (the numbers so far: {j.tendency})" if j.tendency else ""
        alone = f" (each seed alone: {', '.join(j.seeds)})" if len({*j.seeds}) > 1 else ""
        lines.append(f"| {j.claim} | {j.text} | {j.section} | **{j.verdict}**{tendency}{alone} |")
    for j in judgements:
        numbers = "; ".join(f"{name}: {value:.4g}" for name, value in j.numbers.items())
        lines += ["", f"**{j.claim}. {j.verdict}.** Asked: {j.criterion}."]
        lines += [f"Measured: {numbers}."] if numbers else []
        lines += [f"{'Why' if j.verdict == 'FAILS' else 'Because'}: {j.reason}."] if j.reason else []
    return lines
