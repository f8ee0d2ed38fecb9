"""What this implementation set itself, beyond the paper's claims: each goal, and how far the numbers come."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from pie_cli.constants import EPS2_VALUES

Numbers = Mapping[str, float]
Measured = Mapping[str, Numbers]  # means over seeds of "pie-d10-eps0.01", "vae-d8", "pca-d10", …
Row = tuple[str, str, str, str, str, bool, bool]  # a goal's texts, and whether must and aim are reached
TIGHT, MIDDLE, LOOSE = (f"pie-d10-eps{eps2:g}" for eps2 in EPS2_VALUES)
SHARP = f"pie-d8-eps{EPS2_VALUES[0]:g}"
RIVALS = ("vae-d8", "wae-d8", *(f"pie-d8-eps{eps2:g}" for eps2 in EPS2_VALUES[1:]))  # of the sharpest samples
VAE, WAE = "vae-d10", "wae-d10"
WARM = f"{TIGHT}-warm"
# Of 1, 10 and 100, the weight of the reconstruction with the best validation MSE and 5-NN accuracy.
RECONSTRUCTION_WEIGHT = 100.0
EXTENSION = f"{TIGHT}-rec{RECONSTRUCTION_WEIGHT:g}"
ORDERED = {"mse": -1, "knn_accuracy": 1, "umap_silhouette": 1}  # what ε₀² should order, and whether more is better
FITTED = "fitted_frechet_distance"


@dataclass(frozen=True)
class Goal:
    """One goal."""

    figure: str  # what is measured
    must: str  # what it should be at least
    aim: str  # and at best
    ours: str  # what it is
    letter: str  # what it is with the paper's text
    reached: str  # "aim", "must" or "missed"


def goals(measured: Measured, letter: Measured) -> list[Goal]:
    """Return every goal with what was measured of our recipe and of the paper's text.

    Raises KeyError, which names what was not measured of ours.
    """
    rows = chain(_of_codes(measured, letter), _of_samples(measured, letter))
    return [
        Goal(figure, must, aim, ours, beside, "aim" if has_must and has_aim else "must" if has_must else "missed")
        for figure, must, aim, ours, beside, has_must, has_aim in rows
    ]


def _of(measured: Measured, run: str, name: str, digits: str = ".4f") -> str:
    """Return a number as a text; a dash where it was not measured."""
    return f"{measured[run][name]:{digits}}" if name in measured.get(run, {}) else "–"


def _of_codes(measured: Measured, letter: Measured) -> Iterator[Row]:
    pie, vae, wae, warm = (measured[name] for name in (TIGHT, VAE, WAE, WARM))

    mse = pie["mse"]
    others = f"VAE {vae['mse']:.4f}, WAE {wae['mse']:.4f}, PCA {measured['pca-d10']['mse']:.4f}"
    yield (
        "MSE from z alone, d = 10, ε₀² = 0.01, the paper's loss",
        "≤ 0.0160",
        "≤ 0.0140",
        f"{mse:.4f} ({others})",
        _of(letter, TIGHT, "mse"),
        mse <= 0.0160,
        mse <= 0.0140,
    )
    yield (
        "the same, recipe warm",
        "≤ our VAE's",
        "≤ our WAE's",
        f"{warm['mse']:.4f}",
        "–",
        warm["mse"] <= vae["mse"],
        warm["mse"] <= wae["mse"],
    )

    projected, lowest = pie["projected_mse"], min(of["projected_mse"] for of in (vae, wae))
    yield (
        "MSE after projection",
        "below VAE's and WAE's, projected alike",
        "≤ 0.0085",
        f"{projected:.4f} (VAE {vae['projected_mse']:.4f}, WAE {wae['projected_mse']:.4f})",
        _of(letter, TIGHT, "projected_mse"),
        projected < lowest,
        projected <= 0.0085,
    )

    accuracy = pie["knn_accuracy"]
    floor = f"PCA {measured['pca-d10']['knn_accuracy']:.3f}, VAE {vae['knn_accuracy']:.3f}"
    yield (
        "5-NN accuracy of z",
        "≥ 0.92",
        "≥ 0.95",
        f"{accuracy:.3f} ({floor})",
        _of(letter, TIGHT, "knn_accuracy", ".3f"),
        accuracy >= 0.92,
        accuracy >= 0.95,
    )

    of_all = {name: [measured[run][name] for run in (TIGHT, MIDDLE, LOOSE)] for name in ORDERED}
    signed = [[ORDERED[name] * value for value in values] for name, values in of_all.items()]
    yield (
        "order of ε₀² = 0.01, 0.1, 1 in MSE, 5-NN accuracy, UMAP silhouette",
        "1 is worst in all",
        "0.01 is best in all",
        "; ".join(", ".join(f"{value:.3g}" for value in values) for values in of_all.values()),
        "; ".join(", ".join(_of(letter, run, name, ".3g") for run in (TIGHT, MIDDLE, LOOSE)) for name in ORDERED),
        all(min(values) == values[2] for values in signed),
        all(max(values) == values[0] for values in signed),
    )


def _of_samples(measured: Measured, letter: Measured) -> Iterator[Row]:
    pie, vae, wae, free = (measured[name] for name in (TIGHT, VAE, WAE, EXTENSION))
    failing, trip = pie["samples_not_finite"], pie["sample_round_trip"]
    yield (
        f"{pie['samples']:,.0f} samples from N(0, I): not finite; largest error of z decoded and encoded",
        "0; ≤ 1e-3",
        "0; ≤ 1e-3",
        f"{failing:.0f}; {trip:.1e}",
        f"{_of(letter, TIGHT, 'samples_not_finite', '.0f')}; {_of(letter, TIGHT, 'sample_round_trip', '.1e')}",
        failing == 0 and trip <= 1e-3,
        True,
    )
    for name, title, must, aim in (
        ("frechet_distance", "samples from N(0, I)", (0.13, 0.17), 0.1),
        (FITTED, "samples of a mixture fitted to z", (0.28, 0.36), 0.25),
    ):
        ratios = [pie[name] / of[name] for of in (vae, wae)]
        theirs = [_of(letter, TIGHT, name, ".1f"), *(f"{of[name]:.1f}" for of in (vae, wae))]
        yield (
            f"Fréchet distance of {title} over VAE's and WAE's",
            f"≤ {must[0]} and {must[1]}",
            f"≤ {aim}",
            f"{pie[name]:.1f} over {theirs[1]} and {theirs[2]}: {ratios[0]:.2f} and {ratios[1]:.2f}",
            theirs[0],
            all(ratio <= bound for ratio, bound in zip(ratios, must, strict=True)),
            max(ratios) <= aim,
        )

    sharp, true = measured[SHARP]["sharpness"], measured["true"]["sharpness"]
    blurred = [measured[run]["sharpness"] for run in ("vae-d8", "wae-d8")]
    rivals = [measured[run] for run in RIVALS if run in measured]
    most_real = all(measured[SHARP]["frechet_distance"] < of["frechet_distance"] for of in rivals)
    yield (
        "sharpness of samples at d = 8 over the true images'",
        "≥ 0.74, and 1.5 × VAE's and WAE's",
        "within 0.15 of 1, and the most real of all rows",
        f"{sharp:.3f} over {true:.3f}: {sharp / true:.2f} (VAE {blurred[0]:.3f}, WAE {blurred[1]:.3f})",
        _of(letter, SHARP, "sharpness", ".3f"),
        sharp >= 0.74 * true and sharp >= 1.5 * max(blurred),
        abs(sharp / true - 1) <= 0.15 and most_real,
    )
    yield (
        f"MSE with a penalty of weight {RECONSTRUCTION_WEIGHT:g}, outside the paper's loss",
        f"≤ our WAE's, {wae['mse']:.4f}",
        "≤ 0.8 × our WAE's, and a Fréchet distance with a mixture fitted to z below its",
        f"{free['mse']:.4f}: {free['mse'] / wae['mse']:.2f} ×; fitted {free[FITTED]:.1f} and {wae[FITTED]:.1f}",
        "–",
        free["mse"] <= wae["mse"],
        free["mse"] <= 0.8 * wae["mse"] and free[FITTED] < wae[FITTED],
    )
