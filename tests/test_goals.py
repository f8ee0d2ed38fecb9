"""Goals come from the numbers: invented ones reach and miss them."""

from __future__ import annotations

import copy

import pytest

from pie_cli.paper.goals import EXTENSION, LOOSE, MIDDLE, SHARP, TIGHT, VAE, WAE, WARM, goals

Numbers = dict[str, float]


def pie(mse: float, accuracy: float, silhouette: float) -> Numbers:
    return {
        "mse": mse,
        "projected_mse": 0.008,
        "knn_accuracy": accuracy,
        "umap_silhouette": silhouette,
        "frechet_distance": 5.0,
        "fitted_frechet_distance": 4.0,
        "samples": 10_000.0,
        "samples_not_finite": 0.0,
        "sample_round_trip": 1e-5,
    }


def baseline(mse: float) -> Numbers:
    of = {"mse": mse, "projected_mse": 0.011, "knn_accuracy": 0.95}
    return {**of, "frechet_distance": 80.0, "fitted_frechet_distance": 35.0}


# Every goal at its aim.
BEST: dict[str, Numbers] = {
    TIGHT: pie(0.011, 0.96, 0.5),
    MIDDLE: pie(0.012, 0.95, 0.4),
    LOOSE: pie(0.02, 0.9, 0.2),
    WARM: {"mse": 0.0105},
    EXTENSION: {"mse": 0.008, "fitted_frechet_distance": 30.0},
    VAE: baseline(0.012),
    WAE: baseline(0.011),
    SHARP: {"sharpness": 0.18, "frechet_distance": 6.0},
    "vae-d8": {"sharpness": 0.05, "frechet_distance": 90.0},
    "wae-d8": {"sharpness": 0.06, "frechet_distance": 90.0},
    "pca-d10": {"mse": 0.033, "knn_accuracy": 0.93},
    "true": {"sharpness": 0.183},
}


def test_the_best_numbers_reach_every_aim() -> None:
    assert {goal.reached for goal in goals(BEST, {})} == {"aim"}


@pytest.mark.parametrize(
    ("row", "run", "name", "value", "reached"),
    [
        (0, TIGHT, "mse", 0.0155, "must"),
        (0, TIGHT, "mse", 0.017, "missed"),
        (1, WARM, "mse", 0.0115, "must"),
        (1, WARM, "mse", 0.0125, "missed"),
        (2, TIGHT, "projected_mse", 0.009, "must"),
        (2, WAE, "projected_mse", 0.007, "missed"),
        (3, TIGHT, "knn_accuracy", 0.93, "must"),
        (3, TIGHT, "knn_accuracy", 0.91, "missed"),
        (4, MIDDLE, "umap_silhouette", 0.6, "must"),
        (4, LOOSE, "umap_silhouette", 0.45, "missed"),
        (5, TIGHT, "samples_not_finite", 1.0, "missed"),
        (5, TIGHT, "sample_round_trip", 0.01, "missed"),
        (6, WAE, "frechet_distance", 40.0, "must"),
        (6, VAE, "frechet_distance", 9.0, "missed"),
        (7, WAE, "fitted_frechet_distance", 12.0, "must"),
        (7, WAE, "fitted_frechet_distance", 3.0, "missed"),
        (8, SHARP, "sharpness", 0.14, "must"),
        (8, SHARP, "sharpness", 0.13, "missed"),
        (8, SHARP, "sharpness", 0.25, "must"),  # more than the true images' is not better
        (8, "vae-d8", "frechet_distance", 5.0, "must"),
        (8, "wae-d8", "sharpness", 0.15, "missed"),
        (9, EXTENSION, "mse", 0.01, "must"),
        (9, EXTENSION, "mse", 0.012, "missed"),
    ],
)
def test_one_number_changes_one_goal(row: int, run: str, name: str, value: float, reached: str) -> None:
    numbers = copy.deepcopy(BEST)
    numbers[run][name] = value
    found = goals(numbers, {})[row]
    assert found.reached == reached
    assert found.ours


def test_the_papers_text_stands_beside() -> None:
    first, *_, sharp, extension = goals(BEST, {TIGHT: {"mse": 0.0455}, SHARP: {"sharpness": 0.087}})
    assert (first.letter, sharp.letter, extension.letter) == ("0.0455", "0.087", "–")


def test_a_missing_run_is_named() -> None:
    with pytest.raises(KeyError, match=EXTENSION):
        goals({run: of for run, of in BEST.items() if run != EXTENSION}, {})
