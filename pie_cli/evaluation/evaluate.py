"""The figures of merit of a trained run, measured once and kept in its folder."""

import math

import torch
from torch import Tensor

from pie_cli.constants import NARROW_VARIANCE, SHARPNESS_SAMPLES
from pie_cli.data.base import Dataset
from pie_cli.evaluation.cache import STRIP, Evaluation, keep, kept, key_of
from pie_cli.metrics import codes as measures
from pie_cli.metrics.classifier import Classifier, confidence, features_of, predictions
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import laplacian_variance, reconstruction_mse, sharpness, ssim
from pie_cli.metrics.inference import clean, in_batches, interpolate, known_codes, prior_samples
from pie_cli.metrics.realism import frechet_distance, realism
from pie_cli.models.base import Autoencoder
from pie_cli.models.densities import bits_per_dim
from pie_cli.models.pie import PIE
from pie_cli.models.priors import COMPONENTS, sample_fitted_codes
from pie_cli.runs.folder import Run

Numbers = dict[str, float]

PATHS = 250  # interpolations between two test images of different digits
PATH_POINTS = 8  # decoded points inside each
AUDIT_BATCH = 100  # images of which the batch minimum is taken

MEASURES = {
    "parameters": "parameters",
    "training_seconds": "training, s",
    "mse": "MSE from z alone",
    "ssim": "SSIM from z alone",
    "reconstruction_accuracy": "classifier accuracy on reconstructions",
    "nll": "−log p(x), nats",
    "bits_per_dim": "bits per dimension",
    "knn_accuracy": "5-NN accuracy of z",
    "probe_accuracy": "linear-probe accuracy of z",
    "z_largest_mean": "z: largest |mean| of a dimension (prior 0)",
    "z_std": "z: standard deviation (prior 1)",
    "z_kurtosis": "z: excess kurtosis (prior 0)",
    "frechet_distance": "samples at N(0, 1): Fréchet distance",
    "precision": "samples at N(0, 1): precision",
    "recall": "samples at N(0, 1): recall",
    "density": "samples at N(0, 1): density",
    "coverage": "samples at N(0, 1): coverage",
    "confidence": "samples at N(0, 1): classifier confidence",
    "sharpness": "samples at N(0, 1): sharpness",
    "samples_not_finite": "samples at N(0, 1): not finite",
    "sample_round_trip": "samples at N(0, 1): largest error of z decoded and encoded",
    "narrow_frechet_distance": "samples at N(0, 0.5): Fréchet distance",
    "narrow_precision": "samples at N(0, 0.5): precision",
    "narrow_recall": "samples at N(0, 0.5): recall",
    "narrow_confidence": "samples at N(0, 0.5): classifier confidence",
    "gaussian_frechet_distance": "samples of a Gaussian fitted to z: Fréchet distance",
    "fitted_frechet_distance": "samples of a mixture fitted to z: Fréchet distance",
    "path_confidence": "interpolations: classifier confidence",
    "umap_trustworthiness": "UMAP plane: trustworthiness",
    "umap_silhouette": "UMAP plane: silhouette of the digits",
    "umap_knn_accuracy": "UMAP plane: 5-NN accuracy",
    "umap_distance_from_gaussian": "UMAP plane: distance from a Gaussian",
    "inverse_error": "exact inverse: largest error, float32",
}  # what tables call the figures of merit, in their order


def evaluate(run: Run, dataset: Dataset, classifier: Classifier, device: str) -> Evaluation:
    """Return the run's figures of merit, from its folder where they were measured of the same weights before.

    Processes that measure the same run at once need no lock: each writes whole files that name the weights, the same
    ones up to the last bits in which machines differ, and numbers are never paired with arrays that are not their own.
    What is damaged is measured again.
    """
    path, key = run.folder / "evaluation.json", key_of(run, dataset, classifier)
    evaluation = kept(path, key)
    if evaluation is None:
        model = run.load_model(device)
        numbers = {"parameters": float(sum(p.numel() for p in model.parameters()))}
        numbers["training_seconds"] = float(run.provenance.get("wall_seconds", math.nan))
        codes, known = in_batches(model.encode, clean(dataset.test), model), known_codes(model, dataset)
        real = features_of(classifier, clean(dataset.test))
        code_numbers, plane = measure_codes(codes, known, dataset)
        numbers |= measure_reconstruction(model, codes, dataset, classifier) | code_numbers
        numbers |= _path(model, codes, dataset, classifier)
        if isinstance(model, PIE):
            numbers |= _likelihood(model, dataset) | {"inverse_error": inverse_error(model, dataset)}
        numbers |= _fitted_priors(model, known, real, classifier)
        sampled, audited, each, strip = _samples(model, real, classifier)
        # Only what is finite can be kept, so only that is returned, now and later.
        finite = {name: value if math.isfinite(value) else math.nan for name, value in (numbers | sampled).items()}
        evaluation = Evaluation(finite, audited, each.numpy(), strip.numpy(), plane.numpy())
        keep(path, key, evaluation)
    return evaluation


def measure_reconstruction(model: Autoencoder, codes: Tensor, dataset: Dataset, classifier: Classifier) -> Numbers:
    """How well z alone keeps the test images."""
    originals, decoded = clean(dataset.test), in_batches(model.decode, codes, model)
    return {
        "mse": reconstruction_mse(originals, decoded),
        "ssim": ssim(originals, decoded).mean().item(),
        "reconstruction_accuracy": (predictions(classifier, decoded) == dataset.test.labels).double().mean().item(),
    }


def measure_codes(codes: Tensor, known: Tensor, dataset: Dataset) -> tuple[Numbers, Tensor]:
    """What z knows of the digits, how normal it is, and its plane in UMAP."""
    labels, known_labels = dataset.test.labels, dataset.train.labels[: len(known)]
    plane = umap_plane(codes, seed=0)
    numbers = {
        "knn_accuracy": measures.knn_accuracy(known, known_labels, codes, labels),
        "probe_accuracy": measures.linear_probe_accuracy(known, known_labels, codes, labels),
        **{f"z_{name}": value for name, value in measures.code_statistics(codes).items()},
        "umap_trustworthiness": measures.trustworthiness(codes, plane),
        "umap_silhouette": measures.silhouette(plane, labels),
        "umap_knn_accuracy": measures.cross_validated_knn_accuracy(plane, labels),
        "umap_distance_from_gaussian": measures.distance_from_gaussian(plane),
    }
    return numbers, plane


def _path(model: Autoencoder, codes: Tensor, dataset: Dataset, classifier: Classifier) -> Numbers:
    """How sure the classifier is of what lies between two different digits (Fig. 7d)."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(len(dataset.test), (4 * PATHS, 2), generator=generator)
    labels = dataset.test.labels[pairs]
    pairs = pairs[labels[:, 0] != labels[:, 1]][:PATHS]
    _, images = interpolate(model, codes[pairs], torch.linspace(0, 1, PATH_POINTS + 2)[1:-1])
    return {"path_confidence": confidence(classifier, features_of(classifier, images.flatten(0, 1))).mean().item()}


def _likelihood(model: PIE, dataset: Dataset) -> Numbers:
    """Eq. 17 on the dequantised test images, without the noise of training."""
    generator = torch.Generator().manual_seed(0)
    x = (dataset.test.images.float() + torch.rand(dataset.test.images.shape, generator=generator)) / 256
    nll = -in_batches(model.log_prob, x, model).double().mean().item()
    return {"nll": nll, "bits_per_dim": bits_per_dim(nll, x[0].numel())}


def inverse_error(model: PIE, dataset: Dataset, dtype: torch.dtype = torch.float32) -> float:
    """Return the largest error of decode(encode(x)) with all residuals kept, over all test images."""

    def round_trip(x: Tensor) -> Tensor:
        z, residuals, _ = model(x)
        return (model.decode(z, residuals) - x).abs().flatten(1).amax(1)

    model.to(dtype)
    largest = in_batches(round_trip, clean(dataset.test).to(dtype), model).max().item()
    model.float()
    return largest


def _samples(model: Autoencoder, real: Tensor, classifier: Classifier) -> tuple[Numbers, Numbers, Tensor, Tensor]:
    """Sharpness and realism of samples from the prior, their audit, the sharpness of each, and a strip of them."""
    count = min(SHARPNESS_SAMPLES, len(real))  # the digits have fewer images to compare with
    codes, samples = prior_samples(model, count, 1.0, seed=0)
    finite = samples.flatten(1).isfinite().all(1)
    numbers = {"samples": float(count), "samples_not_finite": float((~finite).sum())}
    again = in_batches(model.encode, samples, model) if isinstance(model, PIE) else codes
    numbers["sample_round_trip"] = (again - codes).abs().max().item() if isinstance(model, PIE) else math.nan
    _, narrow = prior_samples(model, count, math.sqrt(NARROW_VARIANCE), seed=0)
    numbers |= realism(classifier, samples, real)
    numbers |= {f"narrow_{name}": value for name, value in realism(classifier, narrow, real).items()}
    # Of fewer than two there is no standard error: nothing is said of them.
    shown = samples[finite] if finite.sum() > 1 else torch.full_like(samples[:2], math.nan)
    each = laplacian_variance(shown.clamp(0, 1))
    numbers["sharpness"], numbers["sharpness_error"] = sharpness(shown.clamp(0, 1))
    numbers["sharpness_unclipped"] = laplacian_variance(shown).mean().item()
    return numbers, audit(shown), each, samples[:STRIP]


def _fitted_priors(model: Autoencoder, known: Tensor, real: Tensor, classifier: Classifier) -> Numbers:
    """How real samples are whose codes come from priors fitted to the known codes."""
    numbers = {}
    for prior in COMPONENTS:
        drawn = in_batches(model.decode, sample_fitted_codes(known, prior, len(real), seed=0), model)
        numbers[f"{prior}_frechet_distance"] = frechet_distance(real, features_of(classifier, drawn))
    return numbers


def audit(images: Tensor) -> Numbers:
    """Return the mean sharpness of images under each convention in use; each changes one thing of the first."""
    seen = images.clamp(0, 1)
    base = laplacian_variance(seen)
    sharpness_of = {
        "four neighbours, valid, [0, 1], clipped, mean": base,
        "reflected border": laplacian_variance(seen, border="reflect"),
        "zero border": laplacian_variance(seen, border="zero"),
        "eight neighbours": laplacian_variance(seen, kernel="eight"),
        "range [−1, 1]": laplacian_variance(2 * seen - 1),
        "range [0, 255]": laplacian_variance(255 * seen),
        "not clipped": laplacian_variance(images),
        f"minimum of {AUDIT_BATCH} images": torch.stack([part.min() for part in base.split(AUDIT_BATCH)]),
    }
    return {convention: values.mean().item() for convention, values in sharpness_of.items()}
