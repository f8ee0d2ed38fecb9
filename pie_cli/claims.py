"""The paper's claims and their verdicts, from measured numbers alone (see `judge`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pie_cli.paper import EPS2_VALUES

Numbers = Mapping[str, float]
Measured = Mapping[str, Numbers]  # the figures of merit of "pie-d10-eps0.01", "vae-d8", "pca-d10", "true", …

TIGHT, MIDDLE, LOOSE = EPS2_VALUES
MSE_MARGIN = 0.01  # relative: a smaller difference of two MSEs counts as none
CANNOT_MARGIN = 1.25  # times the low-ε₀² runs' MSE, for "cannot reconstruct"
ACCURACY_MARGIN = 0.05  # of the classifier on reconstructions, for the same
MARGIN = 0.01  # absolute, on precision, confidence, silhouette, accuracy
ERRORS = 3.0  # standard errors between two sharpnesses that count as different


class Verdict(StrEnum):
    HOLDS = "HOLDS"
    FAILS = "FAILS"
    NOT_COMPARABLE = "NOT COMPARABLE"


@dataclass(frozen=True)
class Judgement:
    """A claim, and what the numbers say of it.

    Arguments:
        claim: its number, from 1.
        text: what the paper says.
        section: where.
        verdict: of the numbers.
        reason: why not comparable, or why a claim fails; empty where it holds.
        tendency: for a quick run, the verdict that its numbers would give.
        criterion: what was asked of the numbers, with its tolerance.
        numbers: the measured ones.
    """

    claim: int
    text: str
    section: str
    verdict: Verdict
    reason: str
    tendency: Verdict | None
    criterion: str
    numbers: dict[str, float]


@dataclass(frozen=True)
class _Claim:
    text: str
    section: str
    criterion: str
    why_it_may_fail: str
    check: Callable[[Measured], tuple[bool, dict[str, float]]]


def judge(measured: Measured, quick: bool) -> list[Judgement]:
    """Return a verdict for each of the paper's claims.

    Arguments:
        measured: figures of merit by run, without the seed in its name.
        quick: whether the runs were shorter than full ones, which compares with nothing; a tendency is given.
    """
    return [_judge(number, claim, measured, quick) for number, claim in enumerate(CLAIMS, 1)]


def _judge(number: int, claim: _Claim, measured: Measured, quick: bool) -> Judgement:
    tendency, numbers = None, dict[str, float]()
    try:
        holds, numbers = claim.check(measured)
    except KeyError as missing:
        verdict, reason = Verdict.NOT_COMPARABLE, f"{missing.args[0]} was not measured"
    else:
        verdict, reason = (Verdict.HOLDS, "") if holds else (Verdict.FAILS, claim.why_it_may_fail)
        if quick:
            tendency, verdict = verdict, Verdict.NOT_COMPARABLE
            reason = "quick profile: trained too briefly to compare with the paper"
    return Judgement(number, claim.text, claim.section, verdict, reason, tendency, claim.criterion, numbers)


def _pie(eps2: float, latent_dim: int = 10) -> str:
    return f"pie-d{latent_dim}-eps{eps2:g}"


def _of_all(measured: Measured, name: str) -> dict[float, float]:
    """Return a figure of merit of the three PIEs with d = 10, by ε₀²."""
    return {eps2: measured[_pie(eps2)][name] for eps2 in EPS2_VALUES}


def _named(title: str, values: Mapping[float, float]) -> dict[str, float]:
    return {f"{title}, ε₀² = {eps2:g}": value for eps2, value in values.items()}


def _lower_reconstructs_better(measured: Measured) -> tuple[bool, dict[str, float]]:
    mse = _of_all(measured, "mse")
    better = 1 - MSE_MARGIN
    return mse[TIGHT] < better * mse[MIDDLE] and mse[MIDDLE] < better * mse[LOOSE], _named("MSE", mse)


def _loose_cannot_reconstruct(measured: Measured) -> tuple[bool, dict[str, float]]:
    mse, accuracy = _of_all(measured, "mse"), _of_all(measured, "reconstruction_accuracy")
    floor = measured["pca-d10"]["mse"]
    holds = (
        mse[LOOSE] > floor
        and mse[LOOSE] > CANNOT_MARGIN * max(mse[TIGHT], mse[MIDDLE])
        and accuracy[LOOSE] < min(accuracy[TIGHT], accuracy[MIDDLE]) - ACCURACY_MARGIN
    )
    return holds, {
        **_named("MSE", mse),
        "MSE, PCA": floor,
        **_named("classifier accuracy on reconstructions", accuracy),
    }


def _narrow_is_more_accurate(measured: Measured) -> tuple[bool, dict[str, float]]:
    numbers, holds = {}, True
    for eps2 in (TIGHT, MIDDLE):
        of = measured[_pie(eps2)]
        for name in ("precision", "confidence"):
            holds &= of[f"narrow_{name}"] > of[name] + MARGIN
        for name in ("precision", "confidence", "frechet_distance"):
            title = name.replace("_", " ").replace("frechet", "Fréchet")
            numbers[f"{title} at N(0, 1), ε₀² = {eps2:g}"] = of[name]
            numbers[f"{title} at N(0, 0.5), ε₀² = {eps2:g}"] = of[f"narrow_{name}"]
    return holds, numbers


def _tight_interpolates_through_digits(measured: Measured) -> tuple[bool, dict[str, float]]:
    sure = _of_all(measured, "path_confidence")
    return min(sure[TIGHT], sure[MIDDLE]) > sure[LOOSE] + MARGIN, _named("confidence along the path", sure)


def _tight_separates(measured: Measured) -> tuple[bool, dict[str, float]]:
    silhouette, accuracy = _of_all(measured, "umap_silhouette"), _of_all(measured, "umap_knn_accuracy")
    distance = _of_all(measured, "umap_distance_from_gaussian")
    holds = (
        all(
            values[TIGHT] > values[MIDDLE] - MARGIN and min(values[TIGHT], values[MIDDLE]) > values[LOOSE]
            for values in (silhouette, accuracy)
        )
        and min(distance[TIGHT], distance[MIDDLE]) > distance[LOOSE]
    )
    return holds, {
        **_named("silhouette in the plane", silhouette),
        **_named("5-NN accuracy in the plane", accuracy),
        **_named("distance of the plane from a Gaussian", distance),
    }


def _too_tight_is_fuzzy(measured: Measured) -> tuple[bool, dict[str, float]]:
    numbers, holds = dict[str, float](), True
    for name in ("precision", "confidence", "sharpness"):
        values = {eps2: measured[_pie(eps2)][name] for eps2 in (TIGHT, MIDDLE)}
        holds &= name == "sharpness" or values[TIGHT] < values[MIDDLE] - MARGIN
        numbers |= _named(f"{name} at N(0, 1)", values)
    return holds, numbers


def _sharper(measured: Measured, others: tuple[str, ...]) -> tuple[bool, dict[str, float]]:
    pie = measured[_pie(TIGHT, 8)]
    numbers, holds = {"sharpness, PIE at ε₀² = 0.01": pie["sharpness"]}, True
    for other in others:
        of = measured[other]
        error = (pie["sharpness_error"] ** 2 + of["sharpness_error"] ** 2) ** 0.5
        holds &= pie["sharpness"] - of["sharpness"] > ERRORS * error
        numbers[f"sharpness, {other}"] = of["sharpness"]
    return holds, numbers


CLAIMS = (
    _Claim(
        "Lower ε₀² reconstructs better.",
        "5.1, Fig. 7a",
        f"test MSE from z alone falls by more than {MSE_MARGIN:.0%} from ε₀² = 1 to 0.1 and from 0.1 to 0.01",
        "the order of the three MSEs is another one",
        _lower_reconstructs_better,
    ),
    _Claim(
        "With ε₀² = 1 the model cannot reconstruct.",
        "5.1, Fig. 7a",
        f"its MSE is above PCA's and above {CANNOT_MARGIN} × the other two, and the classifier recognises its "
        f"reconstructions less often by more than {ACCURACY_MARGIN}",
        "its reconstructions are worse than the others', but not as bad as the paper's figure shows",
        _loose_cannot_reconstruct,
    ),
    _Claim(
        "Samples at N(0, 0.5) are more accurate images than at N(0, 1).",
        "5.1, Fig. 7c",
        f"precision and classifier confidence rise by more than {MARGIN}, for ε₀² = 0.01 and 0.1; the Fréchet "
        "distance, which also punishes lost diversity, stands beside them",
        "narrowing brings the samples nearer to the mean code, which is no digit of its own where the codes of the "
        "digits surround it",
        _narrow_is_more_accurate,
    ),
    _Claim(
        "Interpolations at low ε₀² pass through digits, at ε₀² = 1 they do not.",
        "5.1, Fig. 7d and 8",
        f"the classifier's mean confidence inside the paths is higher by more than {MARGIN} for both lower ε₀²",
        "the classifier is as sure of the blurred images between two digits",
        _tight_interpolates_through_digits,
    ),
    _Claim(
        "With lower ε₀², UMAP separates the classes better and looks less Gaussian.",
        "5.1, Fig. 7e",
        f"silhouette and 5-NN accuracy in the plane fall from ε₀² = 0.01 to 0.1 to 1 (the first two may tie within "
        f"{MARGIN}), and the plane is farther from a Gaussian for both lower ε₀²",
        "the order of the three planes is another one",
        _tight_separates,
    ),
    _Claim(
        "PIE's samples are sharper than VAE's and WAE's.",
        "5.2, Table 1",
        f"by more than {ERRORS:g} standard errors, at d = 8 and ε₀² = 0.01",
        "PIE's samples are as blurred as theirs",
        lambda measured: _sharper(measured, ("vae-d8", "wae-d8")),
    ),
    _Claim(
        "PIE's samples are sharper than the real images.",
        "5.2, Table 1",
        f"by more than {ERRORS:g} standard errors, at d = 8 and ε₀² = 0.01",
        "and that is good: sharpness above that of real images comes from saturated pixels or artefacts (real images "
        "cut at half grey score 0.49, the paper's figure for PIE); a model that matches the data matches its sharpness",
        lambda measured: _sharper(measured, ("true",)),
    ),
    _Claim(
        "Too low values of ε₀² sample fuzzy images.",
        "5.1, Fig. 7b",
        f"precision and classifier confidence of samples at N(0, 1) are lower by more than {MARGIN} at ε₀² = 0.01 than "
        "at 0.1; sharpness, which may also be that of strokes that make no digit, stands beside them",
        "the samples of the lowest ε₀² are as real as the others'",
        _too_tight_is_fuzzy,
    ),
)
