"""The paper's claims and their verdicts, from measured numbers alone. docs/CRITERIA.md has the criteria and why."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

from pie_cli.constants import EPS2_VALUES, TABLE_1

Numbers = Mapping[str, float]
Measured = Mapping[str, Sequence[Numbers]]  # the figures of merit by seed of "pie-d10-eps0.01", "vae-d8", "pca-d10", …

TIGHT, MIDDLE, LOOSE = EPS2_VALUES
MIN_SEEDS = 3  # that a verdict rests on
CONFIDENCE = 0.95  # of the interval of a mean difference
# The least effects. All of these were written down before the runs that they judge were trained.
LEAST_MSE = 0.05  # relative
LEAST_SHARE = 0.05  # of images or paths
LEAST_ACCURACY = 0.02
LEAST_SILHOUETTE = 0.03
LEAST_DISTANCE = 0.007  # from a Gaussian
LEAST_SHARPNESS = 0.01
HALF = 0.5  # share of the reconstructions that are recognised, below which a model "cannot reconstruct"
ONE_IN_TEN = 0.1  # share of the paths, below which interpolations do not pass through digits


class Verdict(StrEnum):
    HOLDS = "HOLDS"
    PARTLY = "PARTLY"
    FAILS = "FAILS"
    NOT_COMPARABLE = "NOT COMPARABLE"


class Outcome(StrEnum):
    """What is shown of a part."""

    HOLDS = "holds"
    NOT_SHOWN = "not shown"
    OPPOSITE = "the opposite is so"


@dataclass(frozen=True)
class Part:
    """One comparison that a claim rests on: the mean over seeds of what should be positive."""

    text: str  # what is asked
    values: Sequence[float]  # what should be positive, by seed
    least: float = 0.0  # the least effect
    tie: bool = False  # whether it is enough that the mean is not below zero by the least effect

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return fmean(self.values)

    @property
    def half_width(self) -> float:
        """Half of the interval of the mean, by Student's t over the seeds; nan of fewer than two."""
        if len(self.values) < 2:
            return math.nan
        from scipy.stats import t

        quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(self.values) - 1))
        return quantile * stdev(self.values) / math.sqrt(len(self.values))

    def outcome(self, half_width: float) -> Outcome:
        """Return what the mean shows, with an interval of this half width around it; 0 asks the mean alone."""
        mean, least = self.mean, self.least
        if mean > half_width - least if self.tie else mean >= least and mean > half_width:
            return Outcome.HOLDS
        return Outcome.OPPOSITE if mean <= -least and mean < -half_width else Outcome.NOT_SHOWN


@dataclass(frozen=True)
class Judgement:
    """A claim, and what the numbers of one recipe say of it."""

    claim: int  # its number, from 1
    text: str  # what the paper says
    section: str  # where
    paper: str  # what the paper shows for it
    verdict: Verdict  # of the numbers
    reason: str  # why they are not comparable; empty where they are
    tendency: Verdict | None  # the verdict that numbers which are not comparable would give
    parts: dict[str, Outcome]  # what was asked of the numbers, and what they show
    differences: dict[str, tuple[float, float | None, float]]  # of each part: mean, half of its interval, least effect
    numbers: dict[str, float]  # the measured ones: means over seeds


@dataclass(frozen=True)
class _Claim:
    text: str
    section: str
    paper: str
    check: Callable[[Measured], tuple[list[Part], dict[str, float]]]


def judge(measured: Measured, incomparable: str = "") -> list[Judgement]:
    """Return a verdict for each of the paper's claims, from the figures of one recipe.

    `incomparable` says why these runs do not compare with the paper's: a tendency is given in the place of a verdict.
    """
    return [_judge(number, claim, measured, incomparable) for number, claim in enumerate(CLAIMS, 1)]


def _judge(number: int, claim: _Claim, measured: Measured, incomparable: str) -> Judgement:
    about = (number, claim.text, claim.section, claim.paper)
    try:
        parts, numbers = claim.check(measured)
    except KeyError as missing:
        reason = f"{missing.args[0]} was not measured"
        return Judgement(*about, Verdict.NOT_COMPARABLE, reason, None, {}, {}, {})
    numbers = {name: value for name, value in numbers.items() if not math.isnan(value)}
    if unknown := next((part for part in parts if math.isnan(part.mean)), None):
        reason = f"{unknown.text}: could not be measured"
        return Judgement(*about, Verdict.NOT_COMPARABLE, reason, None, {}, {}, numbers)
    seeds = min(len(part.values) for part in parts)
    if not incomparable and seeds < MIN_SEEDS:
        incomparable = f"{seeds} seed{'s' if seeds > 1 else ''}; a verdict needs {MIN_SEEDS}"
    half_widths = [0.0 if incomparable else part.half_width for part in parts]
    outcomes = [part.outcome(half_width) for part, half_width in zip(parts, half_widths, strict=True)]
    verdict = _verdict(parts, outcomes)
    so = {part.text: outcome for part, outcome in zip(parts, outcomes, strict=True)}
    differences = {part.text: (part.mean, part.half_width if seeds > 1 else None, part.least) for part in parts}
    said, tendency = (Verdict.NOT_COMPARABLE, verdict) if incomparable else (verdict, None)
    return Judgement(*about, said, incomparable, tendency, so, differences, numbers)


def _verdict(parts: Sequence[Part], outcomes: Sequence[Outcome]) -> Verdict:
    """Return what the parts say together; one that asks for no difference is no reason for PARTLY."""
    if all(outcome is Outcome.HOLDS for outcome in outcomes):
        return Verdict.HOLDS
    held = [part for part, outcome in zip(parts, outcomes, strict=True) if outcome is Outcome.HOLDS and not part.tie]
    return Verdict.PARTLY if held else Verdict.FAILS


def _pie(eps2: float, latent_dim: int = 10) -> str:
    return f"pie-d{latent_dim}-eps{eps2:g}"


def _values(measured: Measured, family: str, name: str) -> list[float]:
    """Return a figure of merit by seed."""
    return [of[name] for of in measured[family]]


def _above(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return first − second, seed by seed."""
    return [a - b for a, b in zip(first, second, strict=False)]


def _relative(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return by what share of second first is above it, seed by seed."""
    return [a / b - 1 for a, b in zip(first, second, strict=False)]


def _of_all(measured: Measured, name: str) -> dict[float, list[float]]:
    """Return a figure of merit of the three PIEs with d = 10, by ε₀² and seed."""
    return {eps2: _values(measured, _pie(eps2), name) for eps2 in EPS2_VALUES}


def _named(title: str, values: Mapping[float, Sequence[float]]) -> dict[str, float]:
    return {f"{title}, ε₀² = {eps2:g}": fmean(of_seeds) for eps2, of_seeds in values.items()}


def _lower_reconstructs_better(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    mse = _of_all(measured, "mse")
    pairs = (TIGHT, MIDDLE), (MIDDLE, LOOSE)
    parts = [
        Part(f"MSE lower at {low:g} than at {high:g}", _relative(mse[high], mse[low]), LEAST_MSE) for low, high in pairs
    ]
    return parts, _named("MSE", mse)


def _loose_cannot_reconstruct(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    mse, recognised = _of_all(measured, "mse"), _of_all(measured, "reconstruction_accuracy")
    floor = _values(measured, "pca-d10", "mse")
    parts = [
        Part("MSE at 1 above PCA's", _relative(mse[LOOSE], floor), LEAST_MSE),
        Part("at 1 fewer than half recognised", [HALF - value for value in recognised[LOOSE]]),
    ]
    return parts, {**_named("MSE", mse), "MSE, PCA": fmean(floor), **_named("recognised", recognised)}


def _narrow_is_more_accurate(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    parts, numbers = [], dict[str, float]()
    for eps2 in (TIGHT, MIDDLE):
        wide, narrow = (_values(measured, _pie(eps2), f"{which}accepted") for which in ("", "narrow_"))
        parts.append(Part(f"more accepted at N(0, 0.5), {eps2:g}", _above(narrow, wide), LEAST_SHARE))
    spreads = {"": "N(0, 1)", "narrow_": "N(0, 0.5)", "half_": "std 0.5"}
    for name, title in (("accepted", "accepted"), ("recall", "recall"), ("frechet_distance", "Fréchet distance")):
        for which, spread in spreads.items():
            of_all = {eps2: _values(measured, _pie(eps2), f"{which}{name}") for eps2 in (TIGHT, MIDDLE)}
            numbers |= _named(f"{title} at {spread}", of_all)
    return parts, numbers


def _tight_interpolates_through_digits(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    counted = _of_all(measured, "paths")
    parts = [
        Part(f"more paths count at {eps2:g} than at 1", _above(counted[eps2], counted[LOOSE]), LEAST_SHARE)
        for eps2 in (TIGHT, MIDDLE)
    ]
    parts.append(Part("at 1 fewer than one path in ten counts", [ONE_IN_TEN - value for value in counted[LOOSE]]))
    ends = _named("paths with both ends decoded to their digits", _of_all(measured, "path_ends"))
    return parts, _named("paths that count", counted) | ends


def _tight_separates(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    parts, numbers = list[Part](), dict[str, float]()
    for name, title, least in (
        ("umap_silhouette", "silhouette", LEAST_SILHOUETTE),
        ("umap_knn_accuracy", "5-NN accuracy", LEAST_ACCURACY),
    ):
        of = _of_all(measured, name)
        parts += [
            Part(f"{title} higher at {eps2:g} than at 1", _above(of[eps2], of[LOOSE]), least)
            for eps2 in (TIGHT, MIDDLE)
        ]
        parts.append(Part(f"{title} not lower at 0.01 than at 0.1", _above(of[TIGHT], of[MIDDLE]), least, tie=True))
        numbers |= _named(f"{title} in the plane", of)
    distance = _of_all(measured, "umap_distance_from_gaussian")
    normal = _values(measured, "normal-d10", "umap_distance_from_gaussian")
    parts += [
        Part(f"farther from a Gaussian at {eps2:g} than at 1", _above(distance[eps2], distance[LOOSE]), LEAST_DISTANCE)
        for eps2 in (TIGHT, MIDDLE)
    ]
    excess = {eps2: _above(distance[eps2], normal) for eps2 in EPS2_VALUES}
    parts.append(Part("at 1 as Gaussian as draws of N(0, I)", [LEAST_DISTANCE - value for value in excess[LOOSE]]))
    return parts, numbers | _named("distance from a Gaussian above that of N(0, I) draws", excess)


def _too_tight_is_fuzzy(measured: Measured) -> tuple[list[Part], dict[str, float]]:
    both, numbers = (TIGHT, MIDDLE), dict[str, float]()
    for name, title in (
        ("accepted", "accepted"),
        ("recall", "recall"),
        ("frechet_distance", "Fréchet distance"),
        ("sharpness", "sharpness"),
    ):
        numbers |= _named(f"{title} at N(0, 1)", {eps2: _values(measured, _pie(eps2), name) for eps2 in both})
    tight, middle = (_values(measured, _pie(eps2), "accepted") for eps2 in both)
    return [Part("fewer accepted at 0.01 than at 0.1", _above(middle, tight), LEAST_SHARE)], numbers


def _sharper(measured: Measured, others: tuple[str, ...]) -> tuple[list[Part], dict[str, float]]:
    values = {name: _values(measured, name, "sharpness") for name in (_pie(TIGHT, 8), *others)}
    pie, *rest = values.values()
    parts = [
        Part(f"sharper than {name}", _above(pie, of), LEAST_SHARPNESS) for name, of in zip(others, rest, strict=True)
    ]
    return parts, {f"sharpness, {name}": fmean(of) for name, of in values.items()}


CLAIMS = (
    _Claim("Lower ε₀² reconstructs better.", "5.1", "Fig. 7a", _lower_reconstructs_better),
    _Claim("With ε₀² = 1 the model cannot reconstruct.", "5.1", "Fig. 7a", _loose_cannot_reconstruct),
    _Claim(
        "Samples at N(0, 0.5) are more accurate images than at N(0, 1).", "5.1", "Fig. 7c", _narrow_is_more_accurate
    ),
    _Claim(
        "Interpolations at low ε₀² pass through digits, at ε₀² = 1 they do not.",
        "5.1",
        "Fig. 7d and 8",
        _tight_interpolates_through_digits,
    ),
    _Claim(
        "With lower ε₀², UMAP separates the classes better and looks less Gaussian.", "5.1", "Fig. 7e", _tight_separates
    ),
    _Claim(
        "PIE's samples are sharper than VAE's and WAE's.",
        "5.2",
        "Table 1: {pie} over {vae} and {wae}".format(**TABLE_1),
        lambda measured: _sharper(measured, ("vae-d8", "wae-d8")),
    ),
    _Claim(
        "PIE's samples are sharper than the real images.",
        "5.2",
        "Table 1: {pie} over {true}".format(**TABLE_1),
        lambda measured: _sharper(measured, ("true",)),
    ),
    _Claim("Too low values of ε₀² sample fuzzy images.", "5.1", "Fig. 7b", _too_tight_is_fuzzy),
)
