"""Verdicts come from the numbers: invented ones flip them."""

from __future__ import annotations

import copy

import pytest

from pie_cli.paper.claims import CLAIMS, Verdict, judge

# Numbers as the paper would have them: every claim holds.
PAPER = {
    **{
        f"pie-d10-eps{eps2:g}": {
            "mse": mse,
            "reconstruction_accuracy": accuracy,
            "precision": 0.58 if eps2 == 0.01 else 0.6,
            "narrow_precision": 0.8,
            "confidence": 0.78 if eps2 == 0.01 else 0.8,
            "sharpness": 0.1,
            "narrow_confidence": 0.9,
            "frechet_distance": 20.0,
            "narrow_frechet_distance": 30.0,
            "path_confidence": accuracy,
            "umap_silhouette": accuracy - 0.5,
            "umap_knn_accuracy": accuracy,
            "umap_distance_from_gaussian": accuracy / 5,
        }
        for eps2, mse, accuracy in ((0.01, 0.02, 0.9), (0.1, 0.025, 0.85), (1.0, 0.06, 0.5))
    },
    "pca-d10": {"mse": 0.033},
    "pie-d8-eps0.01": {"sharpness": 0.49, "sharpness_error": 0.001},
    "vae-d8": {"sharpness": 0.08, "sharpness_error": 0.001},
    "wae-d8": {"sharpness": 0.07, "sharpness_error": 0.001},
    "true": {"sharpness": 0.18, "sharpness_error": 0.001},
}

# For each claim, one number that breaks it.
BREAKS = [
    (1, "pie-d10-eps0.1", "mse", 0.019),
    (1, "pie-d10-eps1", "mse", 0.0251),
    (2, "pie-d10-eps1", "mse", 0.032),
    (2, "pie-d10-eps1", "reconstruction_accuracy", 0.83),
    (2, "pca-d10", "mse", 0.07),
    (3, "pie-d10-eps0.01", "narrow_precision", 0.585),
    (3, "pie-d10-eps0.1", "narrow_confidence", 0.7),
    (4, "pie-d10-eps1", "path_confidence", 0.86),
    (5, "pie-d10-eps0.01", "umap_silhouette", 0.2),
    (5, "pie-d10-eps1", "umap_knn_accuracy", 0.88),
    (5, "pie-d10-eps1", "umap_distance_from_gaussian", 0.9),
    (6, "vae-d8", "sharpness", 0.489),
    (7, "true", "sharpness", 0.5),
    (7, "pie-d8-eps0.01", "sharpness", 0.14),
    (8, "pie-d10-eps0.01", "precision", 0.595),
    (8, "pie-d10-eps0.1", "confidence", 0.785),
]


def test_the_papers_numbers_hold() -> None:
    judgements = judge(PAPER)
    assert [j.claim for j in judgements] == list(range(1, 9))
    assert {j.verdict for j in judgements} == {Verdict.HOLDS}


@pytest.mark.parametrize(("claim", "run", "name", "value"), BREAKS)
def test_one_number_flips_one_verdict(claim: int, run: str, name: str, value: float) -> None:
    measured = copy.deepcopy(PAPER)
    measured[run][name] = value
    judgement = judge(measured)[claim - 1]
    assert judgement.verdict is Verdict.FAILS
    assert "not so: " in judgement.reason
    assert value in judgement.numbers.values()


def test_what_could_not_be_measured_decides_nothing() -> None:
    measured = {run: dict.fromkeys(numbers, float("nan")) for run, numbers in PAPER.items()}
    judgements = judge(measured)
    assert {j.verdict for j in judgements} == {Verdict.NOT_COMPARABLE}
    assert all("could not be measured" in j.reason and not j.numbers for j in judgements)


def test_each_seed_has_its_verdict() -> None:
    other = copy.deepcopy(PAPER)
    other["pie-d10-eps0.1"]["mse"] = 0.019
    first, *others = judge(PAPER, seeds=[PAPER, other])
    assert (first.verdict, first.seeds) == (Verdict.HOLDS, [Verdict.HOLDS, Verdict.FAILS])
    assert {verdict for j in others for verdict in j.seeds} == {Verdict.HOLDS}
    assert judge(PAPER, seeds=[PAPER])[0].seeds == []


@pytest.mark.parametrize("run", PAPER)
def test_a_missing_run_is_not_comparable(run: str) -> None:
    measured = {name: numbers for name, numbers in PAPER.items() if name != run}
    affected = [j for j in judge(measured) if j.verdict is Verdict.NOT_COMPARABLE]
    assert affected
    assert all(run in j.reason for j in affected)


def test_runs_that_do_not_compare_have_a_tendency() -> None:
    judgements = judge(PAPER, "trained too briefly")
    assert len(judgements) == len(CLAIMS)
    assert {j.verdict for j in judgements} == {Verdict.NOT_COMPARABLE}
    assert {(j.tendency, j.reason) for j in judgements} == {(Verdict.HOLDS, "trained too briefly")}
