"""docs/EXPERIMENTS.md: the tables of all studies, as they were last measured."""

from __future__ import annotations

from pathlib import Path

from pie_cli.io.files import write_text
from studies import (
    attempts,
    beyond,
    capacity,
    cost,
    eps2,
    ideas,
    ladder,
    letter,
    opponents,
    projection,
    sampling,
    scale,
    schedule,
    start,
    trials,
)
from studies.study import TABLES, Study

PAGE = Path(__file__).resolve().parents[1] / "docs" / "EXPERIMENTS.md"
STUDIES = (
    letter.STUDY, ladder.STUDY, eps2.STUDY,
    capacity.STUDY, schedule.STUDY, scale.STUDY, start.STUDY, sampling.STUDY, beyond.STUDY,
    ideas.STUDY, attempts.STUDY, projection.STUDY, trials.STUDY,
    opponents.STUDY, opponents.AS_MANY, cost.STUDY,
)  # fmt: skip
INTRODUCTION = """# Experiments

What decides the defaults. Every row is one training (MNIST, d = 10, ε₀² = 0.01 and seed 0 where the row does not say
otherwise) on one CPU thread, evaluated on validation images: the test images decide nothing. Where a table names no
other model, a row is the default PIE with one thing changed. "MSE" is that of decoding from z alone; "FD" the Fréchet
distance of samples to the images in the features of small classifiers. Compare rows within a table. Tables whose
default has 4,998,662 parameters are older: there one classifier judges instead of three, and 5-NN accuracy is against
10,000 codes. Most trainings have three epochs: they rank settings and reproduce nothing. Processors were AMD EPYC and
Intel Xeon; the tables' last lines name the commits.

`python -m studies` measures the rows that a table lacks and writes this page. To have a row measured again, delete
it from every table in `studies/results/`, and its folder under `results/studies/`."""


def page() -> str:
    """Return the page of the studies that have a table: each one's question, conclusion and table."""
    measured = [study for study in STUDIES if (TABLES / f"{study.name}.md").exists()]
    return "\n\n".join([INTRODUCTION, *map(_section, measured)]) + "\n"


def _section(study: Study) -> str:
    table = (TABLES / f"{study.name}.md").read_text(encoding="utf-8").strip()
    return "\n\n".join(filter(None, [f"## {study.question}", study.conclusion, table]))


def write_page() -> None:
    """Write the page."""
    write_text(PAGE, page())
