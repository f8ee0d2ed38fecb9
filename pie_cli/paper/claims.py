"""The paper's claims and their verdicts, from measured numbers alone (see `judge`)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pie_cli.constants import EPS2_VALUES

Numbers = Mapping[str, float]
Parts = dict[str, bool]  # what a claim asks for, and whether each is so
Measured = Mapping[str, Numbers]  # the figures of merit of "pie-d10-eps0.01", "vae-d8", "pca-d10", "true", …
Checked = tuple[Parts, dict[str, float]]  # and the numbers that were looked at

TIGHT, MIDDLE, LOOSE = EPS2_VALUES
# Decided before the figures of the full runs were seen.
MSE_MARGIN = 0.01  # relative: a smaller difference of two MSEs counts as none
CANNOT_MARGIN = 1.25  # times the low-ε₀² runs' MSE, for "cannot reconstruct"
ACCURACY_MARGIN = 0.05  # absolute, on what the classifier makes of images, for the same and for "do not"
MARGIN = 0.01  # absolute, on precision, confidence, silhouette, accuracy
ERRORS = 3.0  # standard errors between two sharpnesses that count as different


class Verdict(StrEnum):
    HOLDS = "HOLDS"
    FAILS = "FAILS"
    NOT_COMPARABLE = "NOT COMPARABLE"


@dataclass(frozen=True)
class Judgement:
    """A claim, and what the numbers say of it."""

    claim: int  # its number, from 1
    text: str  # what the paper says
    section: str  # where
    verdict: Verdict  # of the numbers
    reason: str  # why not comparable, or why a claim fails; empty where it holds
    tendency: Verdict | None  # the verdict that numbers which are not comparable would give
    seeds: list[Verdict]  # the verdict that each seed alone would give, where there are several
    criterion: str  # what was asked of the numbers, with its tolerance
    numbers: dict[str, float]  # the measured ones


@dataclass(frozen=True)
class _Claim:
    text: str
    section: str
    criterion: str
    why_it_may_fail: str
    check: Callable[[Measured], Checked]


def judge(measured: Measured, incomparable: str = "", seeds: Sequence[Measured] = ()) -> list[Judgement]:
    """Return a verdict for each of the paper's claims, from the means over seeds and, in `seeds`, each seed's figures.

    `incomparable` says why these runs do not compare with the paper's: a tendency is given in the place of a verdict.
    """
    return [_judge(number, claim, measured, incomparable, seeds) for number, claim in enumerate(CLAIMS, 1)]


def _judge(number: int, claim: _Claim, measured: Measured, incomparable: str, seeds: Sequence[Measured]) -> Judgement:
    verdict, reason, numbers = _verdict(claim, measured)
    alone = [_verdict(claim, of_one)[0] for of_one in seeds] if len(seeds) > 1 else []
    tendency = None
    if incomparable and verdict is not Verdict.NOT_COMPARABLE:
        tendency, verdict, reason = verdict, Verdict.NOT_COMPARABLE, incomparable
    return Judgement(number, claim.text, claim.section, verdict, reason, tendency, alone, claim.criterion, numbers)


def _verdict(claim: _Claim, measured: Measured) -> tuple[Verdict, str, dict[str, float]]:
    """Return a verdict, its reason, and the numbers that it looks at."""
    try:
        parts, numbers = claim.check(measured)
    except KeyError as missing:
        return Verdict.NOT_COMPARABLE, f"{missing.args[0]} was not measured", {}
    if unknown := next((name for name, value in numbers.items() if math.isnan(value)), None):
        known = {name: value for name, value in numbers.items() if not math.isnan(value)}
        return Verdict.NOT_COMPARABLE, f"{unknown}: could not be measured", known
    if failed := [part for part, so in parts.items() if not so]:
        return Verdict.FAILS, f"{claim.why_it_may_fail} (not so: {', '.join(failed)})", numbers
    return Verdict.HOLDS, "", numbers


def _pie(eps2: float, latent_dim: int = 10) -> str:
    return f"pie-d{latent_dim}-eps{eps2:g}"


def _of_all(measured: Measured, name: str) -> dict[float, float]:
    """Return a figure of merit of the three PIEs with d = 10, by ε₀²."""
    return {eps2: measured[_pie(eps2)][name] for eps2 in EPS2_VALUES}


def _named(title: str, values: Mapping[float, float]) -> dict[str, float]:
    return {f"{title}, ε₀² = {eps2:g}": value for eps2, value in values.items()}


def _lower_reconstructs_better(measured: Measured) -> Checked:
    mse = _of_all(measured, "mse")
    pairs = (TIGHT, MIDDLE), (MIDDLE, LOOSE)
    parts = {f"{low:g} better than {high:g}": mse[low] < (1 - MSE_MARGIN) * mse[high] for low, high in pairs}
    return parts, _named("MSE", mse)


def _loose_cannot_reconstruct(measured: Measured) -> Checked:
    mse, accuracy = _of_all(measured, "mse"), _of_all(measured, "reconstruction_accuracy")
    floor = measured["pca-d10"]["mse"]
    parts = {
        "MSE above PCA's": mse[LOOSE] > floor,
        "MSE above the others'": mse[LOOSE] > CANNOT_MARGIN * max(mse[TIGHT], mse[MIDDLE]),
        "less recognised": accuracy[LOOSE] < min(accuracy[TIGHT], accuracy[MIDDLE]) - ACCURACY_MARGIN,
    }
    recognised = _named("classifier accuracy on reconstructions", accuracy)
    return parts, {**_named("MSE", mse), "MSE, PCA": floor, **recognised}


def _narrow_is_more_accurate(measured: Measured) -> Checked:
    numbers, parts = dict[str, float](), Parts()
    for eps2 in (TIGHT, MIDDLE):
        of = measured[_pie(eps2)]
        for name in ("precision", "confidence"):
            parts[f"{name}, ε₀² = {eps2:g}"] = of[f"narrow_{name}"] > of[name] + MARGIN
        for name in ("precision", "confidence", "frechet_distance"):
            title = name.replace("_", " ").replace("frechet", "Fréchet")
            numbers[f"{title} at N(0, 1), ε₀² = {eps2:g}"] = of[name]
            numbers[f"{title} at N(0, 0.5), ε₀² = {eps2:g}"] = of[f"narrow_{name}"]
    return parts, numbers


def _tight_interpolates_through_digits(measured: Measured) -> Checked:
    sure = _of_all(measured, "path_confidence")
    parts = {f"{eps2:g} above 1": sure[eps2] > sure[LOOSE] + ACCURACY_MARGIN for eps2 in (TIGHT, MIDDLE)}
    return parts, _named("confidence along the path", sure)


def _tight_separates(measured: Measured) -> Checked:
    silhouette, accuracy = _of_all(measured, "umap_silhouette"), _of_all(measured, "umap_knn_accuracy")
    distance = _of_all(measured, "umap_distance_from_gaussian")
    parts = Parts()
    for name, values in (("silhouette", silhouette), ("5-NN accuracy", accuracy)):
        parts[f"{name}, 0.01 not below 0.1"] = values[TIGHT] > values[MIDDLE] - MARGIN
        parts[f"{name}, both above 1"] = min(values[TIGHT], values[MIDDLE]) > values[LOOSE] + MARGIN
    parts["farther from a Gaussian"] = min(distance[TIGHT], distance[MIDDLE]) > distance[LOOSE] + MARGIN
    numbers = _named("silhouette in the plane", silhouette) | _named("5-NN accuracy in the plane", accuracy)
    return parts, numbers | _named("distance of the plane from a Gaussian", distance)


def _too_tight_is_fuzzy(measured: Measured) -> Checked:
    tight, middle, numbers = measured[_pie(TIGHT)], measured[_pie(MIDDLE)], dict[str, float]()
    for name in ("precision", "confidence", "sharpness"):
        numbers |= _named(f"{name} at N(0, 1)", {TIGHT: tight[name], MIDDLE: middle[name]})
    return {f"lower {name}": tight[name] < middle[name] - MARGIN for name in ("precision", "confidence")}, numbers


def _sharper(measured: Measured, others: tuple[str, ...]) -> Checked:
    pie = measured[_pie(TIGHT, 8)]
    numbers = {"sharpness, PIE at ε₀² = 0.01": pie["sharpness"], "its error": pie["sharpness_error"]}
    parts = Parts()
    for other in others:
        of = measured[other]
        error = (pie["sharpness_error"] ** 2 + of["sharpness_error"] ** 2) ** 0.5
        parts[f"sharper than {other}"] = pie["sharpness"] - of["sharpness"] > ERRORS * error
        numbers |= {f"sharpness, {other}": of["sharpness"], f"error, {other}": of["sharpness_error"]}
    return parts, numbers


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
        "its reconstructions are not as bad as the paper's figure shows",
        _loose_cannot_reconstruct,
    ),
    _Claim(
        "Samples at N(0, 0.5) are more accurate images than at N(0, 1).",
        "5.1, Fig. 7c",
        f"precision and classifier confidence rise by more than {MARGIN}, for ε₀² = 0.01 and 0.1; the Fréchet "
        "distance, which also punishes lost diversity, stands beside them",
        "narrowing brings samples nearer to the mean code, which need not be a digit's where the digits surround it",
        _narrow_is_more_accurate,
    ),
    _Claim(
        "Interpolations at low ε₀² pass through digits, at ε₀² = 1 they do not.",
        "5.1, Fig. 7d and 8",
        f"the classifier's mean confidence in the paths is higher by more than {ACCURACY_MARGIN} for both lower ε₀²",
        "the classifier is nearly as sure of the images between two digits at ε₀² = 1",
        _tight_interpolates_through_digits,
    ),
    _Claim(
        "With lower ε₀², UMAP separates the classes better and looks less Gaussian.",
        "5.1, Fig. 7e",
        f"silhouette and 5-NN accuracy in the plane fall from ε₀² = 0.01 to 0.1 to 1 (the first two may tie within "
        f"{MARGIN}), and the plane is farther from a Gaussian for both lower ε₀², by more than {MARGIN}",
        "the three planes differ in other ways",
        _tight_separates,
    ),
    _Claim(
        "PIE's samples are sharper than VAE's and WAE's.",
        "5.2, Table 1",
        f"by more than {ERRORS:g} standard errors, at d = 8 and ε₀² = 0.01",
        "PIE's samples are not sharper than both by that much",
        lambda measured: _sharper(measured, ("vae-d8", "wae-d8")),
    ),
    _Claim(
        "PIE's samples are sharper than the real images.",
        "5.2, Table 1",
        f"by more than {ERRORS:g} standard errors, at d = 8 and ε₀² = 0.01",
        "a model that matches the data matches its sharpness; more than that comes from saturated pixels or artefacts "
        "(real images cut at half grey score 0.49, the paper's figure for PIE)",
        lambda measured: _sharper(measured, ("true",)),
    ),
    _Claim(
        "Too low values of ε₀² sample fuzzy images.",
        "5.1, Fig. 7b",
        f"precision and classifier confidence of samples at N(0, 1) are lower by more than {MARGIN} at ε₀² = 0.01 than "
        "at 0.1; sharpness, which may also be that of strokes that make no digit, stands beside them",
        "the samples of the lowest ε₀² are not less real in both ways",
        _too_tight_is_fuzzy,
    ),
)
