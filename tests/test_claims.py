"""Verdicts come from the numbers: invented ones flip them, and made-up models pass or fail as they should."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from pie_cli.data.base import Dataset
from pie_cli.evaluation.measure import passes_through_digits
from pie_cli.metrics.classifier import train_classifier
from pie_cli.metrics.inference import clean
from pie_cli.metrics.realism import Panel
from pie_cli.paper.claims import CLAIMS, Outcome, Part, Verdict, judge

Seeds = list[dict[str, float]]


def of_seeds(**values: float) -> Seeds:
    """Return figures of three seeds, which differ a little."""
    return [{name: value * (1 + 0.001 * seed) for name, value in values.items()} for seed in range(3)]


# Numbers as the paper would have them: every claim holds.
PAPER = {
    **{
        f"pie-d10-eps{eps2:g}": of_seeds(
            mse=mse,
            reconstruction_accuracy=accuracy,
            accepted=0.5 if eps2 == 0.01 else 0.6,
            narrow_accepted=0.8,
            half_accepted=0.85,
            recall=0.9,
            narrow_recall=0.5,
            half_recall=0.3,
            frechet_distance=20.0,
            narrow_frechet_distance=30.0,
            half_frechet_distance=40.0,
            sharpness=0.1,
            path_ends=accuracy,
            paths=accuracy - 0.4 if eps2 < 1 else 0.02,
            umap_silhouette=accuracy - 0.5,
            umap_knn_accuracy=accuracy,
            umap_distance_from_gaussian=accuracy / 9,
        )
        for eps2, mse, accuracy in ((0.01, 0.02, 0.9), (0.1, 0.025, 0.85), (1.0, 0.06, 0.4))
    },
    "pca-d10": of_seeds(mse=0.033),
    "normal-d10": of_seeds(umap_distance_from_gaussian=0.041),
    "pie-d8-eps0.01": of_seeds(sharpness=0.49),
    "vae-d8": of_seeds(sharpness=0.08),
    "wae-d8": of_seeds(sharpness=0.07),
    "true": of_seeds(sharpness=0.18),
}

# For each claim, one number that breaks a part of it, and what is left of it.
BREAKS = [
    (1, "pie-d10-eps0.1", "mse", 0.0205, Verdict.PARTLY),
    (1, "pie-d10-eps1", "mse", 0.0251, Verdict.PARTLY),
    (1, "pie-d10-eps0.1", "mse", 0.07, Verdict.PARTLY),
    (2, "pie-d10-eps1", "mse", 0.03, Verdict.PARTLY),
    (2, "pca-d10", "mse", 0.07, Verdict.PARTLY),
    (2, "pie-d10-eps1", "reconstruction_accuracy", 0.55, Verdict.PARTLY),
    (3, "pie-d10-eps0.01", "narrow_accepted", 0.54, Verdict.PARTLY),
    (3, "pie-d10-eps0.1", "narrow_accepted", 0.4, Verdict.PARTLY),
    (4, "pie-d10-eps1", "paths", 0.47, Verdict.FAILS),
    (4, "pie-d10-eps1", "paths", 0.3, Verdict.PARTLY),
    (4, "pie-d10-eps0.01", "paths", 0.06, Verdict.PARTLY),
    (5, "pie-d10-eps0.01", "umap_silhouette", 0.2, Verdict.PARTLY),
    (5, "pie-d10-eps1", "umap_knn_accuracy", 0.88, Verdict.PARTLY),
    (5, "pie-d10-eps1", "umap_distance_from_gaussian", 0.9, Verdict.PARTLY),
    (5, "normal-d10", "umap_distance_from_gaussian", 0.02, Verdict.PARTLY),
    (6, "vae-d8", "sharpness", 0.485, Verdict.PARTLY),
    (6, "pie-d8-eps0.01", "sharpness", 0.05, Verdict.FAILS),
    (7, "true", "sharpness", 0.5, Verdict.FAILS),
    (7, "pie-d8-eps0.01", "sharpness", 0.14, Verdict.FAILS),
    (8, "pie-d10-eps0.01", "accepted", 0.56, Verdict.FAILS),
    (8, "pie-d10-eps0.1", "accepted", 0.3, Verdict.FAILS),
]


def test_the_papers_numbers_hold() -> None:
    judgements = judge(PAPER)
    assert [j.claim for j in judgements] == list(range(1, 9))
    assert {j.verdict for j in judgements} == {Verdict.HOLDS}
    assert {outcome for j in judgements for outcome in j.parts.values()} == {Outcome.HOLDS}


@pytest.mark.parametrize(("claim", "run", "name", "value", "verdict"), BREAKS)
def test_one_number_flips_one_verdict(claim: int, run: str, name: str, value: float, verdict: Verdict) -> None:
    measured = copy.deepcopy(PAPER)
    for seed, numbers in enumerate(measured[run]):
        numbers[name] = value * (1 + 0.001 * seed)
    judgement = judge(measured)[claim - 1]
    assert judgement.verdict is verdict
    assert set(judgement.parts.values()) != {Outcome.HOLDS}
    assert judgement.differences.keys() == judgement.parts.keys()


def test_seeds_that_disagree_show_nothing() -> None:
    """The mean difference is as large as before, but one seed has it the other way around."""
    measured = copy.deepcopy(PAPER)
    for numbers, share in zip(measured["pie-d10-eps0.01"], (0.3, 0.3, 0.7), strict=True):
        numbers["accepted"] = share
    assert judge(measured)[7].verdict is Verdict.FAILS


def test_the_interval_is_students() -> None:
    part = Part("", [0.1, 0.2, 0.3])
    assert part.mean == pytest.approx(0.2)
    assert part.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "least", "tie", "outcome"),
    [
        ([0.1, 0.2, 0.3], 0.0, False, Outcome.NOT_SHOWN),  # 0.2 ± 0.25
        ([0.19, 0.2, 0.21], 0.1, False, Outcome.HOLDS),
        ([0.19, 0.2, 0.21], 0.3, False, Outcome.NOT_SHOWN),  # a difference, but a small one
        ([-0.19, -0.2, -0.21], 0.1, False, Outcome.OPPOSITE),
        ([-0.19, -0.2, -0.21], 0.3, False, Outcome.NOT_SHOWN),
        ([-0.01, 0.0, 0.01], 0.03, True, Outcome.HOLDS),  # 0 ± 0.025
        ([-0.03, -0.02, -0.01], 0.03, True, Outcome.NOT_SHOWN),
        ([-0.03, -0.05, -0.5], 0.03, True, Outcome.NOT_SHOWN),  # noise is no evidence of a tie
        ([-0.19, -0.2, -0.21], 0.1, True, Outcome.OPPOSITE),
        ([0.19, 0.2, 0.21], 0.1, True, Outcome.HOLDS),
    ],
)
def test_what_three_seeds_show(values: list[float], least: float, tie: bool, outcome: Outcome) -> None:
    part = Part("", values, least, tie)
    assert part.outcome(part.half_width) is outcome


def test_where_nothing_differs_no_claim_holds() -> None:
    """Three equal models: neither is a claim PARTLY so because of a part that asks for no difference."""
    equal = {**PAPER, **{f"pie-d10-eps{eps2}": PAPER["pie-d10-eps0.01"] for eps2 in ("0.1", "1")}}
    by_claim = {j.claim: j for j in judge(equal)}
    assert {by_claim[claim].verdict for claim in (1, 2, 4, 5, 8)} == {Verdict.FAILS}
    assert by_claim[5].parts["silhouette not lower at 0.01 than at 0.1"] is Outcome.HOLDS


def test_a_number_that_stands_beside_decides_nothing() -> None:
    """A model with a sample that is not finite has no Fréchet distance, but a share that is accepted."""
    measured = copy.deepcopy(PAPER)
    measured["pie-d10-eps0.01"][1]["frechet_distance"] = math.nan
    assert {j.verdict for j in judge(measured)} == {Verdict.HOLDS}


def test_what_could_not_be_measured_decides_nothing() -> None:
    measured = {run: [dict.fromkeys(of, math.nan) for of in seeds] for run, seeds in PAPER.items()}
    judgements = judge(measured)
    assert {j.verdict for j in judgements} == {Verdict.NOT_COMPARABLE}
    assert all("could not be measured" in j.reason and not j.numbers for j in judgements)


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    """Also where only one of the models has few."""
    for few, decided in (({*PAPER}, set[int]()), ({"pie-d10-eps0.01", "vae-d8", "true"}, {2})):
        judgements = judge({run: of[:seeds] if run in few else of for run, of in PAPER.items()})
        assert {j.claim for j in judgements if j.verdict is Verdict.HOLDS} == decided
        undecided = [j for j in judgements if j.verdict is Verdict.NOT_COMPARABLE]
        assert len(undecided) == 8 - len(decided)
        assert {j.tendency for j in undecided} == {Verdict.HOLDS}
        assert all("a verdict needs 3" in j.reason for j in undecided)


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


# What is accepted as a digit, on images whose answer is known


@pytest.fixture(scope="module")
def panel(digits: Dataset) -> Panel:
    return Panel.of([train_classifier(digits.train, seed) for seed in (0, 1)], clean(digits.test))


def real(digits: Dataset) -> tuple[Tensor, Tensor]:
    """Return images that neither the classifiers nor the judges have seen, and their labels."""
    assert digits.validation.labels is not None
    return clean(digits.validation), digits.validation.labels


def test_real_images_are_accepted_and_others_are_not(digits: Dataset, panel: Panel) -> None:
    images, _ = real(digits)
    other = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    half = torch.cat([images[..., :14], torch.zeros_like(images[..., 14:])], 3)
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    accepted = {
        name: panel.realism(of)["accepted"]
        for name, of in {"real": images, "mixed": (images + other) / 2, "noise": noise, "half": half}.items()
    }
    assert accepted["real"] > 0.8
    assert accepted["mixed"] < accepted["real"] / 2
    assert accepted["half"] < accepted["real"] / 2
    assert accepted["noise"] < 0.1


def test_one_digit_is_accepted_and_has_no_recall(digits: Dataset, panel: Panel) -> None:
    """Which is why the share accepted never stands alone."""
    images, _ = real(digits)
    (sure,) = (judge.accepts(images) for judge in panel.judges[:1])
    one = images[sure][:1].expand(len(images), -1, -1, -1)
    found, of_real = panel.realism(one), panel.realism(images)
    assert panel.judges[0].accepts(one).all()
    assert found["recall"] < 0.1 < of_real["recall"]
    assert found["frechet_distance"] > 5 * of_real["frechet_distance"]


def test_paths_count_where_they_should(digits: Dataset, panel: Panel) -> None:
    """Through real images between two digits; not by fading one into the other, and not by always drawing one."""
    images, labels = real(digits)
    judge = panel.judges[0]
    fit = judge.accepts(images) & judge.recognises(images, labels)
    images, labels = images[fit], labels[fit]
    first = torch.tensor([int((labels == digit).nonzero()[0]) for digit in range(9)])
    last = torch.tensor([int((labels == digit + 1).nonzero()[0]) for digit in range(9)])
    ends = torch.stack([labels[first], labels[last]], 1)
    t = torch.linspace(0, 1, 8)[:, None, None, None]
    jumps = torch.stack([images[torch.where(t.flatten() < 0.5, a, b)] for a, b in zip(first, last, strict=True)])
    fades = torch.stack([(1 - t) * images[a] + t * images[b] for a, b in zip(first, last, strict=True)])
    one = images[first[:1]].expand(9, 8, -1, -1, -1)
    counts = [passes_through_digits(judge, of, ends).double().mean().item() for of in (jumps, fades, one)]
    assert counts[0] == 1
    assert counts[1] < 0.5
    assert counts[2] == 0
