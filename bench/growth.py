"""`python -m bench.growth`: how a training step's time and memory grow with the model, the images and the batch."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch

from bench.measure import Spread
from bench.report import MIB, machine, table
from bench.run import options_from, run_as_command
from bench.subjects import OURS
from bench.worker import Job, run
from pie_cli.config.run import TrainingConfig
from pie_cli.io.files import write_atomically, write_text

matplotlib.use("Agg")

EXPLANATION = (
    "One size at a time moves away from the paper's model; the points take turns, each time in a fresh process. An "
    "exponent is the slope of the logarithms: 1 is proportional. It is a fit over the measured range, fixed costs "
    "included, and so no law beyond it."
)
STEPS = 4  # per process: one to start, three timed


@dataclass(frozen=True)
class Point:
    """One size on one axis.

    Arguments:
        axis: the size that grows.
        value: how large it is.
        config: the fields of `PIEConfig` that make it so.
        batch: number of images.
    """

    axis: str
    value: int
    config: dict[str, Any]
    batch: int = TrainingConfig().batch_size


def points() -> list[Point]:
    """Return all sizes that are measured."""
    # Each side is halved until 7 or 8 pixels are left, as in the paper's model.
    sides = {28: 2, 32: 2, 64: 3, 128: 4}
    images = {side: {"image_shape": (1, side, side), "conv_blocks": blocks} for side, blocks in sides.items()}
    return [
        *(Point("width of s, b, g", w, {"dense_width": w, "conv_width": w // 32}) for w in (128, 256, 512, 1024)),
        *(Point("couplings in a block", count, {"couplings": count}) for count in (1, 2, 4, 8)),
        *(Point("pixels", side**2, config) for side, config in images.items()),
        *(Point("batch", batch, {}, batch) for batch in (32, 64, 128, 256, 512)),
    ]


def measure(device: str, threads: int | None, repeats: int) -> pd.DataFrame:
    """Return a row for each point: median, least and greatest seconds of a step, and the peak memory in MiB.

    The points take turns, each in a fresh process.
    """
    start = time.monotonic()
    chosen = points()
    outcomes: list[list[Any]] = [[] for _ in chosen]
    for repeat in range(repeats):
        for point, found in zip(chosen, outcomes, strict=True):
            print(f"{time.monotonic() - start:4.0f} s  {repeat + 1}: {point.axis} {point.value}", file=sys.stderr)
            found.append(run(Job(OURS, point.config, point.batch, STEPS, device, threads)))
    rows = []
    for point, found in zip(chosen, outcomes, strict=True):
        seconds = Spread(tuple(second for outcome in found for second in outcome.seconds))
        row = {"axis": point.axis, "value": point.value, "parameters": found[0].parameters}
        row |= {"seconds": seconds.median, "seconds_min": min(seconds.values), "seconds_max": max(seconds.values)}
        row["peak_mib"] = Spread(tuple(outcome.peak / MIB for outcome in found)).median
        rows.append({**row, "config": asdict(point)["config"], "batch": point.batch})
    return pd.DataFrame(rows)


def exponents(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the exponents of time and memory for each axis."""
    return {
        str(axis): (_slope(rows["value"], rows["seconds"]), _slope(rows["value"], rows["peak_mib"]))
        for axis, rows in frame.groupby("axis", sort=False)
    }


def _slope(x: pd.Series[Any], y: pd.Series[Any]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Plot time and memory against each size, with logarithmic axes."""
    from matplotlib import pyplot as plt

    slopes = exponents(frame)
    figure, grid = plt.subplots(2, len(slopes), figsize=(3 * len(slopes), 5), layout="constrained", sharey="row")
    for column, (axis, rows) in enumerate(frame.groupby("axis", sort=False)):
        for row, (name, label) in enumerate((("seconds", "s a step"), ("peak_mib", "MiB at the peak"))):
            axes = grid[row, column]
            axes.loglog(rows["value"], rows[name], "o-")
            axes.set_xticks(rows["value"], [f"{value:,}" for value in rows["value"]], rotation=30)
            axes.minorticks_off()
            axes.set_title(f"exponent {slopes[str(axis)][row]:.2f}", fontsize="medium")
            axes.set_xlabel(str(axis))
            if column == 0:
                axes.set_ylabel(label)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))
    plt.close(figure)


def main() -> None:
    """Measure; write the page, the CSV file and the plot beside it."""
    options = options_from(__doc__, Path("bench/GROWTH.md"), repeats=3)
    frame = measure(options.device.type, options.threads, options.repeats)
    page: Path = options.output
    write_text(page.with_suffix(".csv"), frame.to_csv(index=False))
    draw(frame, page.with_suffix(".png"))
    write_text(page, _markdown(frame, options.command, options.device, page.with_suffix("").name))


def _markdown(frame: pd.DataFrame, command: str, device: torch.device, name: str) -> str:
    slopes = [[axis, f"{time:.2f}", f"{memory:.2f}"] for axis, (time, memory) in exponents(frame).items()]
    rows = [
        [
            f"{row.axis} {row.value:,}",
            f"{row.parameters:,}",
            f"{row.seconds:.3g} ({row.seconds_min:.3g}–{row.seconds_max:.3g})",
            f"{row.peak_mib:.0f}",
        ]
        for row in frame.itertuples()
    ]
    parts = [
        "# Growth of a training step",
        f"Written by `{command}`. {EXPLANATION}",
        machine(device),
        f"![Time and memory of a step against each size]({name}.png)",
        table(["exponent for", "time", "peak memory"], slopes),
        table(["", "parameters", "seconds a step", "peak, MiB"], rows),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    run_as_command(main)
