"""What a page says of a run: what it is, what was measured, how it learned, where it comes from, whose it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pie_cli.data.base import Dataset
from pie_cli.evaluation.cache import known
from pie_cli.evaluation.evaluate import measures_of
from pie_cli.io.provenance import package_version, short_commit
from pie_cli.io.text import duration, number, one_line
from pie_cli.models.config import PIEConfig
from pie_cli.runs.folder import Run
from pie_cli.share.origins import command_of, origin_of
from pie_cli.share.page_data import Shown

Rows = list[tuple[str, str]]  # what is said of what

SERIES = {  # of metrics.csv: what a chart shows
    "loss per pixel value": {"train_loss": "training", "val_loss": "validation"},
    "MSE from z alone": {"val_mse": "validation"},
}


@dataclass(frozen=True)
class Facts:
    """Everything that a page says without its script."""

    key: Rows  # the few that stand at its head
    settings: Rows  # what was trained, and how
    measures: Rows  # every figure of merit that is known
    evaluated: bool  # whether an evaluation is among them
    charts: list[Chart]
    provenance: Rows
    licence: Rows


@dataclass(frozen=True)
class Line:
    """One series of a chart, in its coordinates."""

    name: str
    points: list[tuple[float, float]]
    last: str  # of its values


@dataclass(frozen=True)
class Chart:
    """A small chart as SVG needs it, 320 by 150 with margins."""

    title: str
    lines: list[Line]
    ticks: list[tuple[float, str]]  # height, and what it stands for
    epochs: int


def facts_of(run: Run, dataset: Dataset, shown: Shown) -> Facts:
    """Return the facts of a run. Raises PIEError if its files cannot be understood."""
    evaluation = known(run)
    measures = [*errors(shown), *(figures(evaluation.numbers, dataset.classes) if evaluation else [])]
    origin = origin_of(dataset.name)
    return Facts(
        key=list(key_facts(run, shown)),
        settings=list(settings(run)),
        measures=measures,
        evaluated=evaluation is not None,
        charts=charts(run),
        provenance=list(provenance(run, dataset)),
        licence=[
            ("images", origin.licence if origin else "those of their owners; nothing else is known to this program"),
            ("program, and this page's script", "MIT licence"),
            ("method", "arXiv 2111.00619"),
        ],
    )


def key_facts(run: Run, shown: Shown) -> Iterator[tuple[str, str]]:
    """Yield what stands at the head of the page."""
    model, training = run.config.model, run.config.training
    yield "model", run.config.model_name.upper()
    if isinstance(model, PIEConfig):
        yield "recipe", run.config.recipe
        yield "ε₀²", number(model.eps2)
    yield "epochs", "unknown" if training is None else str(training.epochs)
    yield "parameters", f"{sum(p.numel() for p in shown.model.parameters()):,}"
    yield "MSE from z alone", f"{shown.errors[0]:.4f}"


def settings(run: Run) -> Iterator[tuple[str, str]]:
    """Yield every setting of a run, by the names that config.json has."""
    config = run.config
    yield "run", run.label
    yield "recipe", config.recipe
    for name, value in config.to_dict()["model"].items():
        yield name, text_of(value)
    if isinstance(config.model, PIEConfig):
        yield "variables, block by block", " → ".join(map(str, config.model.sizes))
    if config.training is None:
        yield "training", "elsewhere; nothing is known of it"
        return
    yield "length", config.training.length + (" (quick run)" if config.quick else "")
    for name, value in config.to_dict()["training"].items():
        yield name, text_of(value)


def text_of(value: Any) -> str:
    """Return a setting's value as text."""
    if isinstance(value, list):
        return " × ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else one_line(str(value))


def errors(shown: Shown) -> Iterator[tuple[str, str]]:
    """Yield the errors that were measured for the page."""
    for keep, error in enumerate(shown.errors):
        what = f"z and {keep} residual level{'s' * (keep > 1)}" if keep else "z alone"
        yield f"MSE from {what}", f"{error:.4g}"


def figures(numbers: dict[str, float], classes: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yield the figures of merit of an evaluation, those that are known."""
    for name, title in measures_of(classes).items():
        value = numbers.get(name, math.nan)
        if not math.isnan(value):
            yield title, f"{value:,.0f}" if value.is_integer() and abs(value) >= 1000 else f"{value:.4g}"


def provenance(run: Run, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield where the run comes from. Where one's own images lay is nobody's business."""
    facts = run.provenance
    yield "images", one_line(dataset.name)
    if run.config.data is not None:
        yield "SHA-256 of the images", run.config.data.sha256
    if run.config.training is not None:
        yield "command", command_of(run.config)
    named = {"version": "version", "device": "device", "processor": "processor"}
    for name, title in {**named, "platform": "platform", "python": "Python"}.items():
        if facts.get(name) is not None:
            yield title, one_line(str(facts[name]))
    if facts.get("commit"):
        yield "commit", short_commit(one_line(str(facts["commit"])))
    if "wall_seconds" in facts:
        yield "training time", duration(facts["wall_seconds"])
    if isinstance(packages := facts.get("packages"), dict):
        yield "packages", ", ".join(f"{one_line(str(name))} {one_line(str(of))}" for name, of in packages.items())
    yield "SHA-256 of the weights", hashlib.sha256(run.read_weights()).hexdigest()
    yield "page made by", f"version {package_version()}"


def charts(run: Run) -> list[Chart]:
    """Return the learning curve as charts: those that metrics.csv has numbers for."""
    history = run.history
    made = [
        chart_of(title, {name: history[column].tolist() for column, name in series.items() if column in history})
        for title, series in SERIES.items()
    ]
    return [chart for chart in made if chart]


LEFT, RIGHT, TOP, BOTTOM = 48, 312, 12, 124  # of a chart
MOST = 1e30  # of what it shows


def chart_of(title: str, series: dict[str, list[float]]) -> Chart | None:
    """Return a chart of numbers by epoch, None if there are none; what is not finite, or beyond `MOST`, is left out."""
    shown = {
        name: [(epoch, value) for epoch, value in enumerate(values) if abs(value) < MOST]  # of nan this is false
        for name, values in series.items()
    }
    every = [value for points in shown.values() for _, value in points]
    if not every:
        return None
    low, high = min(every), max(every)
    epochs = max(map(len, series.values()))

    def x(epoch: int) -> float:
        return LEFT + (RIGHT - LEFT) * epoch / max(1, epochs - 1)

    def y(value: float) -> float:
        share = (value - low) / (high - low) if low < high else 0.5
        return round(BOTTOM - (BOTTOM - TOP) * share, 1)

    lines = [
        Line(
            name,
            [(round(x(epoch), 1), y(value)) for epoch, value in points],
            f"{points[-1][1]:.4g}",
        )
        for name, points in shown.items()
        if points
    ]
    ticks = [(y(value), f"{value:.3g}") for value in sorted({low, (low + high) / 2, high})]
    return Chart(title, lines, ticks, epochs)
