"""The figures of merit, a group at a time: each takes a model and images, and returns numbers by name."""

import math
from statistics import fmean

import torch
from torch import Tensor

from pie_cli.config.run import TrainingConfig
from pie_cli.constants import NARROW_STD, NARROW_VARIANCE, SHARPNESS_SAMPLES
from pie_cli.data.base import Dataset
from pie_cli.metrics import codes as measures
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import Border, Kernel, laplacian_variance, reconstruction_mse, sharpness, ssim
from pie_cli.metrics.inference import (
    FITTED_CODES,
    clean,
    in_batches,
    interpolate,
    prior_samples,
    projections,
    random_tenth,
)
from pie_cli.metrics.realism import Judge, Panel
from pie_cli.models.base import PROJECTION_STEPS, Autoencoder
from pie_cli.models.densities import bits_per_dim
from pie_cli.models.pie import PIE
from pie_cli.models.priors import COMPONENTS, sample_fitted_codes
from pie_cli.training.batches import training_batch

Numbers = dict[str, float]

UMAP_SEEDS = 5  # planes whose mean is reported; of quick runs there is one
PATHS = 250  # interpolations between two test images of different digits
PATH_POINTS = 8  # decoded points inside each
AUDIT_BATCH = 100  # images of which the batch minimum is taken


def reconstruction(model: Autoencoder, codes: Tensor, dataset: Dataset, panel: Panel) -> Numbers:
    """How well z alone keeps the test images, and how near to them the model's manifold comes."""
    originals, labels = clean(dataset.test), dataset.test.labels
    decoded = in_batches(model.decode, codes, model)
    some = random_tenth(dataset.test)
    return {
        "mse": reconstruction_mse(originals, decoded),
        "mse_unclipped": reconstruction_mse(originals, decoded, clip=False),
        "projected_mse": reconstruction_mse(some, projections(model, some, PROJECTION_STEPS)),
        "ssim": ssim(originals, decoded).mean().item(),
        "reconstruction_accuracy": panel.mean(lambda judge: _share(judge.recognises(decoded, labels))),
    }


def knowledge(codes: Tensor, known: Tensor, dataset: Dataset) -> Numbers:
    """What z knows of the images and their classes, given the codes of all training images; and how normal it is."""
    labels, known_labels = dataset.test.labels, dataset.train.labels
    return {
        "knn_accuracy": measures.knn_accuracy(known, known_labels, codes, labels),
        "probe_accuracy": measures.linear_probe_accuracy(known, known_labels, codes, labels),
        "z_trustworthiness": measures.trustworthiness(dataset.test.images.flatten(1), codes),
        **{f"z_{name}": value for name, value in measures.code_statistics(codes).items()},
    }


def planes(codes: Tensor, labels: Tensor | None, quick: bool) -> tuple[Numbers, Tensor]:
    """UMAP's planes of z (Fig. 7e): means over `UMAP_SEEDS`, and the first plane. Without labels, its shape alone."""
    each, first = [], None
    for seed in range(1 if quick else UMAP_SEEDS):
        plane = umap_plane(codes, seed)
        first = plane if first is None else first
        numbers = {"umap_distance_from_gaussian": measures.distance_from_gaussian(plane)}
        if labels is not None:
            numbers["umap_trustworthiness"] = measures.trustworthiness(codes, plane)
            numbers["umap_silhouette"] = measures.silhouette(plane, labels)
            numbers["umap_knn_accuracy"] = measures.cross_validated_knn_accuracy(plane, labels)
        each.append(numbers)
    assert first is not None
    return {name: fmean(of[name] for of in each) for name in each[0]}, first


def paths(model: Autoencoder, codes: Tensor, dataset: Dataset, panel: Panel) -> Numbers:
    """The share of the straight lines between two different digits that pass through digits (Fig. 7d).

    Both ends are decoded to their own digit, and every point between them is accepted (docs/CRITERIA.md, 4).
    """
    pairs = torch.randint(len(dataset.test), (4 * PATHS, 2), generator=torch.Generator().manual_seed(0))
    labels = dataset.test.labels[pairs]
    differ = labels[:, 0] != labels[:, 1]
    pairs, labels = pairs[differ][:PATHS], labels[differ][:PATHS]
    _, images = interpolate(model, codes[pairs], torch.linspace(0, 1, PATH_POINTS + 2))
    return {
        "path_ends": panel.mean(lambda judge: _share(ends_are_digits(judge, images, labels))),
        "paths": panel.mean(lambda judge: _share(passes_through_digits(judge, images, labels))),
    }


def ends_are_digits(judge: Judge, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether both ends of each path (P, T, C, H, W) are recognised as their own classes (P, 2), (P,)."""
    ends = images[:, [0, -1]].flatten(0, 1)
    return judge.recognises(ends, labels.flatten()).unflatten(0, (-1, 2)).all(1)


def passes_through_digits(judge: Judge, images: Tensor, labels: Tensor) -> Tensor:
    """Return whether each path (P, T, C, H, W) counts: `ends_are_digits`, and all points between are accepted, (P,)."""
    between = images[:, 1:-1]
    accepted = judge.accepts(between.flatten(0, 1)).unflatten(0, between.shape[:2]).all(1)
    return ends_are_digits(judge, images, labels) & accepted


def likelihood(model: PIE, dataset: Dataset, training: TrainingConfig | None) -> Numbers:
    """Eq. 17 on the test images, and how large the residuals are beside ε₀²: both of the images dequantised alone, and
    of the images as the training treats them ("…_treated"), which knows no others."""
    generator, images = torch.Generator().manual_seed(0), dataset.test.images
    treatments = {"": TrainingConfig(noise=0.0, dequantise=True), "_treated": training}
    seen = {how: training_batch(images, config, generator) for how, config in treatments.items() if config}

    def measured(x: Tensor) -> Tensor:
        squared = torch.cat(model(x)[1], 1).square().mean(1) / model.eps2
        return torch.stack([-model.log_prob(x), squared], 1)

    numbers = dict.fromkeys(("nll", "residuals_over_eps2", "nll_treated", "residuals_over_eps2_treated"), math.nan)
    for how, x in seen.items():
        nll, squared = in_batches(measured, x, model).double().mean(0).tolist()
        numbers |= {f"nll{how}": nll, f"residuals_over_eps2{how}": squared}
    return {**numbers, "bits_per_dim": bits_per_dim(numbers["nll"], images[0].numel())}


def inverse_errors(model: PIE, dataset: Dataset) -> Numbers:
    """The largest error of decode(encode(x)) with all residuals kept: over a tenth in float64, which is slow."""

    def round_trip(x: Tensor) -> Tensor:
        z, residuals, _ = model(x)
        return (model.decode(z, residuals) - x).abs().flatten(1).amax(1)

    numbers = {"inverse_error": in_batches(round_trip, clean(dataset.test), model).max().item()}
    device, some = next(model.parameters()).device, random_tenth(dataset.test).double()
    model.to("cpu", torch.float64)  # not every accelerator has this type
    numbers["inverse_error_float64"] = in_batches(round_trip, some, model).max().item()
    model.to(device, torch.float32)
    return numbers


def samples(model: Autoencoder, count: int, panel: Panel) -> tuple[Numbers, Numbers, Tensor, Tensor]:
    """Sharpness and realism of samples from the prior, their audit, the sharpness of each, and the samples."""
    codes, drawn = prior_samples(model, count, 1.0, seed=0)
    finite = drawn.flatten(1).isfinite().all(1)
    numbers = {"samples": float(count), "samples_not_finite": float((~finite).sum())}
    again = in_batches(model.encode, drawn, model) if isinstance(model, PIE) else codes
    numbers["sample_round_trip"] = (again - codes).abs().max().item() if isinstance(model, PIE) else math.nan
    numbers |= panel.realism(drawn)
    for name, std in (("narrow", math.sqrt(NARROW_VARIANCE)), ("half", NARROW_STD)):
        found = panel.realism(prior_samples(model, count, std, seed=0)[1])
        numbers |= {f"{name}_{measure}": value for measure, value in found.items()}
    # Fewer than two have no standard error, so nothing is said of them.
    shown = drawn[finite] if finite.sum() > 1 else torch.full_like(drawn[:2], math.nan)
    each = laplacian_variance(shown.clamp(0, 1))
    numbers["sharpness"], numbers["sharpness_error"] = sharpness(shown.clamp(0, 1))
    numbers["sharpness_unclipped"] = laplacian_variance(shown).mean().item()
    return numbers, audit(shown), each, drawn


def sample_count(dataset: Dataset) -> int:
    """Return how many samples are compared with the test images: as the paper, or as many as there are images."""
    return min(SHARPNESS_SAMPLES, len(dataset.test))


def fitted_priors(model: Autoencoder, known: Tensor, panel: Panel, count: int) -> Numbers:
    """How real samples are whose codes come from priors fitted to known codes."""
    numbers = Numbers()
    for prior in COMPONENTS:
        drawn = in_batches(model.decode, sample_fitted_codes(known[:FITTED_CODES], prior, count, seed=0), model)
        numbers[f"{prior}_frechet_distance"] = panel.frechet_distance(drawn)
    return numbers


def audit(images: Tensor) -> Numbers:
    """Return the mean sharpness of images under each convention that could be meant.

    The first is Table 1's. Logits are RealNVP's, of images of 256 grey levels; they need images within [0, 1].
    """
    seen = images.clamp(0, 1)
    shown = 0.05 + 0.95 * 255 / 256 * seen
    ranges = {
        "[0, 1], clipped": seen,
        "[0, 1], not clipped": images,
        "[−1, 1], clipped": 2 * seen - 1,
        "[−1, 1], not clipped": 2 * images - 1,
        "[0, 255], clipped": 255 * seen,
        "logits": (shown / (1 - shown)).log(),
    }
    filters: dict[str, tuple[Kernel, Border]] = {
        "four neighbours, valid": ("four", "valid"),
        "four neighbours, reflected border": ("four", "reflect"),
        "four neighbours, zero border": ("four", "zero"),
        "eight neighbours, valid": ("eight", "valid"),
    }
    found = {
        f"{name}, {scale}": laplacian_variance(of, kernel, border).mean().item()
        for scale, of in ranges.items()
        for name, (kernel, border) in filters.items()
    }
    least = [part.min() for part in laplacian_variance(seen).split(AUDIT_BATCH)]
    return {**found, f"the first, minimum of {AUDIT_BATCH} images": torch.stack(least).mean().item()}


def _share(events: Tensor) -> float:
    return events.double().mean().item()
