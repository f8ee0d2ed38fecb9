"""`python -m studies.page`: put the tables of all studies, as they were last measured, into docs/EXPERIMENTS.md."""

from __future__ import annotations

from pathlib import Path

from pie_cli.files import write_text
from studies import beyond, capacity, sampling, scale, schedule, start, ten
from studies.study import TABLES, Study

STUDIES = (capacity.STUDY, scale.STUDY, ten.STUDY, schedule.STUDY, start.STUDY, sampling.STUDY, beyond.STUDY)
INTRODUCTION = """# Experiments

What decides the defaults. Every row is one training of the default PIE (MNIST, d = 10, ε₀² = 0.01, seed 0) with
one thing changed, in bfloat16 mixed precision on one CPU thread, evaluated on validation images: the test
images decide nothing. "MSE" is that of decoding from z alone; "FD" the Fréchet distance of samples to the
images in a small classifier's features, comparable within this page only. These are short trainings: they rank
settings and reproduce nothing.

`python -m studies.NAME` makes a table again, going on with what is trained; `python -m studies.page` this page."""


def section(study: Study) -> str:
    """Return a study's heading, table and conclusion. Raises FileNotFoundError if it was never run."""
    table = (TABLES / f"{study.name}.md").read_text(encoding="utf-8").strip()
    return f"## {study.question}\n\n{study.conclusion}\n\n{table}"


def main() -> None:
    """Write the page of the studies that have a table."""
    measured = [study for study in STUDIES if (TABLES / f"{study.name}.md").exists()]
    write_text(Path("docs/EXPERIMENTS.md"), "\n\n".join([INTRODUCTION, *map(section, measured)]) + "\n")


if __name__ == "__main__":
    main()
