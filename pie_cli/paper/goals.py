"""What this implementation set itself, beyond the paper's claims: each goal, and how far the numbers come."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from pie_cli.constants import EPS2_VALUES

Numbers = Mapping[str, float]
Row = tuple[str, str, str, str, bool, bool]  # a goal's texts, and whether must and aim are reached
TIGHT, MIDDLE, LOOSE = (f"pie-d10-eps{eps2:g}" for eps2 in EPS2_VALUES)
RIVALS = ("vae-d8", "wae-d8", *(f"pie-d8-eps{eps2:g}" for eps2 in EPS2_VALUES[1:]))  # of the sharpest samples
SHARP = f"pie-d8-eps{EPS2_VALUES[0]:g}"
VAE, WAE = "vae-d10", "wae-d10"
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
    reached: str  # "aim", "must" or "missed"


def goals(measured: Mapping[str, Numbers]) -> list[Goal]:
    """Return every goal with what was measured, by run without its seed; KeyError names one that was not measured."""
    return [
        Goal(figure, must, aim, ours, "aim" if reaches_must and reaches_aim else "must" if reaches_must else "missed")
        for figure, must, aim, ours, reaches_must, reaches_aim in chain(_of_codes(measured), _of_samples(measured))
    ]


def _of_codes(measured: Mapping[str, Numbers]) -> Iterator[Row]:
    pie, vae, wae = (measured[name] for name in (TIGHT, VAE, WAE))
    of_all = {name: [measured[run][name] for run in (TIGHT, MIDDLE, LOOSE)] for name in ORDERED}

    mse = pie["mse"]
    yield (
        "reconstruction MSE, d = 10, ε₀² = 0.01",
        "≤ 0.0168",
        f"≤ our VAE's, {vae['mse']:.4f}",
        f"{mse:.4f} (PCA {measured['pca-d10']['mse']:.4f}, WAE {wae['mse']:.4f})",
        mse <= 0.0168,
        mse <= vae["mse"],
    )

    accuracy = pie["knn_accuracy"]
    floor = f"PCA {measured['pca-d10']['knn_accuracy']:.3f}, VAE {vae['knn_accuracy']:.3f}"
    yield ("5-NN accuracy of z", "≥ 0.87", "≥ 0.95", f"{accuracy:.3f} ({floor})", accuracy >= 0.87, accuracy >= 0.95)

    signed = [[ORDERED[name] * value for value in values] for name, values in of_all.items()]
    yield (
        "order of ε₀² = 0.01, 0.1, 1 in MSE, 5-NN accuracy, UMAP silhouette",
        "1 is worst in all",
        "0.01 is best in all",
        "; ".join(", ".join(f"{value:.3g}" for value in values) for values in of_all.values()),
        all(min(values) == values[2] for values in signed),
        all(max(values) == values[0] for values in signed),
    )


def _of_samples(measured: Mapping[str, Numbers]) -> Iterator[Row]:
    pie, vae, wae, free = (measured[name] for name in (TIGHT, VAE, WAE, EXTENSION))
    failing, trip = pie["samples_not_finite"], pie["sample_round_trip"]
    yield (
        f"{pie['samples']:,.0f} samples from N(0, I): not finite; largest error of z decoded and encoded",
        "0; ≤ 1e-3",
        "0; ≤ 1e-3",
        f"{failing:.0f}; {trip:.1e}",
        failing == 0 and trip <= 1e-3,
        True,
    )

    distance, fitted = pie["frechet_distance"], pie["fitted_frechet_distance"]
    others, others_fitted = ([of[name] for of in (vae, wae)] for name in ("frechet_distance", FITTED))
    yield (
        "Fréchet distance of samples from N(0, I) over VAE's and WAE's",
        "≤ ½ of both",
        "≤ ⅒ of both, and below theirs with a mixture fitted to z",
        f"{distance:.1f} over {others[0]:.1f} and {others[1]:.1f}: {distance / others[0]:.2f} and "
        f"{distance / others[1]:.2f}; fitted {fitted:.1f}, {others_fitted[0]:.1f} and {others_fitted[1]:.1f}",
        distance <= min(others) / 2,
        distance <= min(others) / 10 and fitted < min(others_fitted),
    )

    sharp, true = measured[SHARP]["sharpness"], measured["true"]["sharpness"]
    blurred = [measured[run]["sharpness"] for run in ("vae-d8", "wae-d8")]
    rivals = [measured[run] for run in RIVALS if run in measured]
    most_real = all(measured[SHARP]["frechet_distance"] < of["frechet_distance"] for of in rivals)
    yield (
        "sharpness of samples, d = 8",
        "≥ 1.5 × VAE's and WAE's",
        "within 15 % of the true images', and the most real of all rows",
        f"{sharp:.3f} over {blurred[0]:.3f} and {blurred[1]:.3f}: {sharp / blurred[0]:.1f} and "
        f"{sharp / blurred[1]:.1f} (true {true:.3f})",
        sharp >= 1.5 * max(blurred),
        abs(sharp / true - 1) <= 0.15 and most_real,
    )

    yield (
        f"reconstruction MSE with a penalty of weight {RECONSTRUCTION_WEIGHT:g}, outside the paper's loss",
        f"≤ our WAE's, {wae['mse']:.4f}",
        "≤ 0.8 × our WAE's, and a Fréchet distance with a mixture fitted to z below its",
        f"{free['mse']:.4f}: {free['mse'] / wae['mse']:.2f} ×; fitted {free[FITTED]:.1f} and {wae[FITTED]:.1f}",
        free["mse"] <= wae["mse"],
        free["mse"] <= 0.8 * wae["mse"] and free[FITTED] < wae[FITTED],
    )
