"""Figures of merit over seeds: grouped, averaged, and as a table to show."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from pie_cli.evaluation.evaluate import MEASURES

WORST = (  # not averaged over seeds
    "z_largest_mean", "z_largest_covariance", "samples_not_finite", "sample_round_trip", "inverse_error",
    "inverse_error_float64",
)  # fmt: skip


def means(numbers: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean over seeds of each figure of merit, by family, of those in `WORST` the worst.

    The error of the sharpness is that of its mean: over the images and, with several seeds, over the trainings. The
    spread between trainings already has some of the images' error in it, so that this is rather too large.
    """
    averages = {}
    for name, runs in numbers.items():
        table = pd.DataFrame(runs)
        mean = _mean(table)
        if len(runs) > 1 and "sharpness" in table:
            variance = table["sharpness_error"].pow(2).mean() + table["sharpness"].var(ddof=1)
            mean["sharpness_error"] = math.sqrt(variance / len(runs))
        averages[name] = {str(measure): float(value) for measure, value in mean.items()}
    return averages


def _mean(runs: pd.DataFrame) -> pd.Series:
    """Return the mean over rows of each column, of those in `WORST` the largest; nan where one is nan."""
    mean = runs.mean(skipna=False)
    worst = [name for name in WORST if name in runs]
    mean[worst] = runs[worst].max(skipna=False)
    return mean


def summary(
    numbers: Mapping[str, Sequence[Mapping[str, float]]], measures: Mapping[str, str] = MEASURES
) -> pd.DataFrame:
    """Return a table of the figures of merit, families as columns: as `means`, ± the standard deviation over seeds.

    `measures` are the rows, and what they are called.
    """
    columns: dict[str, list[object]] = {"": list(measures.values())}
    for name, runs in numbers.items():
        table = pd.DataFrame(runs).reindex(columns=list(measures))
        mean, std = _mean(table), table.std(ddof=1).drop(list(WORST))
        columns[name] = [
            # The deviation has one digit, and that as 20, not as 2e+01.
            f"{mean[m]:.4g} ± {float(f'{std[m]:.1g}'):g}" if std.get(m, 0) > 0 else float(mean[m])
            for m in measures
        ]
    return pd.DataFrame(columns)
