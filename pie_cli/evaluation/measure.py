"""The figures of merit, a group at a time: each takes a model and images, and returns numbers by name."""

import math
from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from pie_cli.config.run import TrainingConfig
from pie_cli.constants import NARROW_STD, NARROW_VARIANCE, SHARPNESS_SAMPLES
from pie_cli.data.base import Dataset
from pie_cli.metrics import codes as measures
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import (
    Border,
    Kernel,
    laplacian_variance,
    reconstruction_mse,
    sharpness,
    squared_error,
    ssim,
)
from pie_cli.metrics.inference import (
    FITTED_CODES,
    batch_size,
    batches,
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
TREATED = 2**24  # pixel values that are treated as in training at a time: all of MNIST's at once
SAMPLED = 2**27  # pixel values of all samples together
AUDIT_BATCH = 100  # images of which the batch minimum is taken


def reconstruction(model: Autoencoder, codes: Tensor, dataset: Dataset, panel: Panel) -> Numbers:
    """How well z alone keeps the test images, and how near to them the model's manifold comes."""
    size, labels = batch_size(dataset.image_shape), dataset.test.labels
    clipped, unclipped, similar, seen = [], [], [], list[list[Tensor]]()
    for start, x in zip(range(0, len(dataset.test), size), batches(dataset.test), strict=True):
        part = slice(start, start + size)
        decoded = in_batches(model.decode, codes[part], model)
        clipped.append(squared_error(x, decoded))
        unclipped.append(squared_error(x, decoded, clip=False))
        similar.append(ssim(x, decoded))
        if labels is not None:
            seen.append([judge.recognises(decoded, labels[part]) for judge in panel.judges])
    some = random_tenth(dataset.test)
    shares = [_share(torch.cat(of_judge)) for of_judge in zip(*seen, strict=True)]
    return {
        "mse": torch.cat(clipped).double().mean().item(),
        "mse_unclipped": torch.cat(unclipped).double().mean().item(),
        "projected_mse": reconstruction_mse(some, projections(model, some, PROJECTION_STEPS)),
        "ssim": torch.cat(similar).mean().item(),
        "reconstruction_accuracy": fmean(shares) if shares else math.nan,
    }


def knowledge(codes: Tensor, known: Tensor, dataset: Dataset) -> Numbers:
    """What z knows of the images and their classes, given the codes of all training images; and how normal it is."""
    labels, known_labels, of_classes = dataset.test.labels, dataset.train.labels, (math.nan, math.nan)
    if labels is not None and known_labels is not None:
        sets = known, known_labels, codes, labels
        of_classes = measures.knn_accuracy(*sets), measures.linear_probe_accuracy(*sets)
    faithful = measures.trustworthiness(dataset.test.images, codes)
    dataset.test.release()
    return {
        "knn_accuracy": of_classes[0],
        "probe_accuracy": of_classes[1],
        "z_trustworthiness": faithful,
        **{f"z_{name}": value for name, value in measures.code_statistics(codes).items()},
    }


def planes(codes: Tensor, labels: Tensor | None, quick: bool) -> tuple[Numbers, Tensor]:
    """UMAP's planes of z (Fig. 7e): means over `UMAP_SEEDS`, and the first plane. Without labels, no separation."""

    def measured(plane: Tensor) -> Numbers:
        return {
            **shape(plane),
            "umap_trustworthiness": measures.trustworthiness(codes, plane),
            "umap_silhouette": math.nan if labels is None else measures.silhouette(plane, labels),
            "umap_knn_accuracy": math.nan if labels is None else measures.cross_validated_knn_accuracy(plane, labels),
        }

    return each_plane(codes, quick, measured)


def shape(plane: Tensor) -> Numbers:
    """How far a plane of UMAP is from a Gaussian."""
    return {"umap_distance_from_gaussian": measures.distance_from_gaussian(plane)}


def each_plane(codes: Tensor, quick: bool, measure: Callable[[Tensor], Numbers]) -> tuple[Numbers, Tensor]:
    """Return the mean of a measure over UMAP's planes of `UMAP_SEEDS` (of quick runs one), and the first plane."""
    drawn = [umap_plane(codes, seed) for seed in range(1 if quick else UMAP_SEEDS)]
    each = [measure(plane) for plane in drawn]
    return {name: fmean(of[name] for of in each) for name in each[0]}, drawn[0]


def paths(model: Autoencoder, codes: Tensor, dataset: Dataset, panel: Panel) -> Numbers:
    """The share of the straight lines between two different digits that pass through digits (Fig. 7d).

    Both ends are decoded to their own digit, and every point between them is accepted (docs/CRITERIA.md, 4).
    """
    unknown = dict.fromkeys(("path_ends", "paths"), math.nan)
    if dataset.test.labels is None or not all(judge.can_compare(judge.real) for judge in panel.judges):
        return unknown
    pairs = torch.randint(len(dataset.test), (4 * PATHS, 2), generator=torch.Generator().manual_seed(0))
    labels = dataset.test.labels[pairs]
    differ = labels[:, 0] != labels[:, 1]
    if not differ.any():
        return unknown
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
    generator = torch.Generator().manual_seed(0)
    treatments = {"": TrainingConfig(noise=0.0, dequantise=True), "_treated": training}

    def measured(x: Tensor) -> Tensor:
        squared = torch.cat(model(x)[1], 1).square().mean(1) / model.eps2
        return torch.stack([-model.log_prob(x), squared], 1)

    numbers = dict.fromkeys(("nll", "residuals_over_eps2", "nll_treated", "residuals_over_eps2_treated"), math.nan)
    for how, config in treatments.items():
        if config is None:
            continue
        found = []
        for images in dataset.test.images.split(max(1, TREATED // math.prod(dataset.image_shape))):
            found.append(in_batches(measured, training_batch(images, config, generator), model))
            dataset.test.release()
        nll, squared = torch.cat(found).double().mean(0).tolist()
        numbers |= {f"nll{how}": nll, f"residuals_over_eps2{how}": squared}
    return {**numbers, "bits_per_dim": bits_per_dim(numbers["nll"], math.prod(dataset.image_shape))}


def inverse_errors(model: PIE, dataset: Dataset) -> Numbers:
    """The largest error of decode(encode(x)) with all residuals kept: over a tenth in float64, which is slow."""

    def round_trip(x: Tensor) -> Tensor:
        z, residuals, _ = model(x)
        return (model.decode(z, residuals) - x).abs().flatten(1).amax(1)

    numbers = {"inverse_error": in_batches(round_trip, dataset.test, model).max().item()}
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
    """Return how many samples are compared with the test images: as the paper, or as many as there are images.

    Of large images there are fewer, since all are kept in memory.
    """
    return min(SHARPNESS_SAMPLES, len(dataset.test), max(1, SAMPLED // math.prod(dataset.image_shape)))


def fitted_priors(model: Autoencoder, known: Tensor, panel: Panel, count: int) -> Numbers:
    """How real samples are whose codes come from priors fitted to known codes."""
    numbers = Numbers()
    for prior, components in COMPONENTS.items():
        if not panel.judges or len(known) <= components:
            numbers[f"{prior}_frechet_distance"] = math.nan
            continue
        drawn = in_batches(model.decode, sample_fitted_codes(known[:FITTED_CODES], prior, count, seed=0), model)
        numbers[f"{prior}_frechet_distance"] = panel.frechet_distance(drawn)
    return numbers


def audit(images: Tensor) -> Numbers:
    """Return the mean sharpness of images under each convention that could be meant.

    The first is Table 1's. Logits are RealNVP's, of images of 256 grey levels; they need images within [0, 1].
    """
    seen = images.clamp(0, 1)
    ranges: dict[str, Callable[[], Tensor]] = {  # one of them at a time in memory
        "[0, 1], clipped": lambda: seen,
        "[0, 1], not clipped": lambda: images,
        "[−1, 1], clipped": lambda: 2 * seen - 1,
        "[−1, 1], not clipped": lambda: 2 * images - 1,
        "[0, 255], clipped": lambda: 255 * seen,
        "logits": lambda: _logits(0.05 + 0.95 * 255 / 256 * seen),
    }
    filters: dict[str, tuple[Kernel, Border]] = {
        "four neighbours, valid": ("four", "valid"),
        "four neighbours, reflected border": ("four", "reflect"),
        "four neighbours, zero border": ("four", "zero"),
        "eight neighbours, valid": ("eight", "valid"),
    }
    found = {
        f"{name}, {scale}": laplacian_variance(of, kernel, border).mean().item()
        for scale, scaled in ranges.items()
        for of in [scaled()]
        for name, (kernel, border) in filters.items()
    }
    least = [part.min() for part in laplacian_variance(seen).split(AUDIT_BATCH)]
    return {**found, f"the first, minimum of {AUDIT_BATCH} images": torch.stack(least).mean().item()}


def _logits(shares: Tensor) -> Tensor:
    return (shares / (1 - shares)).log()


def _share(events: Tensor) -> float:
    return events.double().mean().item()
