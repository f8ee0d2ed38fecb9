"""The figures of merit of a trained run, measured once and kept in its folder, and of PCA as the floor."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_cli import figures, metrics
from pie_cli.autoencoder import Autoencoder
from pie_cli.classifier import Classifier, confidence, features_of, predictions
from pie_cli.data import Dataset
from pie_cli.densities import bits_per_dim
from pie_cli.devices import one_thread
from pie_cli.embedding import umap_plane
from pie_cli.files import write_json
from pie_cli.inference import clean, in_batches, interpolate, known_codes, prior_samples
from pie_cli.paper import NARROW_VARIANCE, SHARPNESS_SAMPLES
from pie_cli.pie import PIE
from pie_cli.prior import COMPONENTS, sample_fitted_codes
from pie_cli.reading import read_bytes, read_json
from pie_cli.runs import Run
from pie_cli.tensorfiles import LARGEST_FILE, UnusableFile, digest

FORMAT = 4  # of evaluation.json; older ones are measured again
PATHS = 250  # interpolations between two test images of different digits
PATH_POINTS = 8  # decoded points inside each
STRIP = 12  # samples kept for the strips of Table 1
AUDIT_BATCH = 100  # images of which the batch minimum is taken
ARRAYS = ("sharpness", "strip", "plane")  # of an `Evaluation`, kept in evaluation.npz
LARGEST_ARRAYS = 2**28  # bytes of them


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


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one run.

    Arguments:
        numbers: every figure of merit by name.
        audit: mean sharpness of the samples under each convention in use.
        sharpness: of each sample, shape (N,).
        strip: the first samples, (STRIP, C, H, W).
        plane: UMAP of the test images' codes, (N, 2).
    """

    numbers: dict[str, float]
    audit: dict[str, float]
    sharpness: NDArray[np.float32]
    strip: NDArray[np.float32]
    plane: NDArray[np.float32]


def evaluate(run: Run, dataset: Dataset, classifier: Classifier, device: str) -> Evaluation:
    """Return the run's figures of merit, from its folder where they were measured of the same weights before.

    Processes that measure the same run at once need no lock: each writes whole files that name the weights, the same
    ones up to the last bits in which machines differ, and numbers are never paired with arrays that are not their own.
    What is damaged is measured again.
    """
    path, key = run.folder / "evaluation.json", _key(run, dataset, classifier)
    kept = _kept(path, key)
    if kept is None:
        model = run.load_model(device)
        numbers = {"parameters": float(sum(p.numel() for p in model.parameters()))}
        numbers["training_seconds"] = float(run.provenance.get("wall_seconds", math.nan))
        codes, known = in_batches(model.encode, clean(dataset.test), model), known_codes(model, dataset)
        real = features_of(classifier, clean(dataset.test))
        code_numbers, plane = _codes(codes, known, dataset)
        numbers |= _reconstruction(model, codes, dataset, classifier) | code_numbers
        numbers |= _path(model, codes, dataset, classifier)
        if isinstance(model, PIE):
            numbers |= _likelihood(model, dataset) | {"inverse_error": inverse_error(model, dataset)}
        numbers |= _fitted_priors(model, known, real, classifier)
        sampled, audit, sharpness, strip = _samples(model, real, classifier)
        # Only what is finite can be kept, so only that is returned, now and later.
        finite = {name: value if math.isfinite(value) else math.nan for name, value in (numbers | sampled).items()}
        kept = Evaluation(finite, audit, sharpness.numpy(), strip.numpy(), plane.numpy())
        _keep(path, key, kept)
    return kept


def _key(run: Run, dataset: Dataset, classifier: Classifier) -> str:
    """Return what an evaluation depends on: its own format, the run's configuration and weights, images, classifier."""
    try:
        weights = _sha256(read_bytes(run.weights, LARGEST_FILE))
    except (OSError, ValueError) as error:
        raise UnusableFile(run.weights, f"not readable ({error})") from error
    config = _sha256(json.dumps(run.config.to_dict(), sort_keys=True).encode())
    judge = digest({name: tensor.cpu() for name, tensor in classifier.state_dict().items()}, "")
    return f"{FORMAT} {config} {weights} {dataset.test.sha256} {judge}"


def _keep(path: Path, key: str, evaluation: Evaluation) -> None:
    """Write evaluation.json, with a SHA-256 over all that it says, and the arrays beside it."""
    arrays = {name: getattr(evaluation, name) for name in ARRAYS}
    npz = figures.save_data(path.with_suffix(""), **arrays)
    numbers, audit = without_nan(evaluation.numbers), without_nan(evaluation.audit)
    stored = {"key": key, "numbers": numbers, "audit": audit, "arrays": _sha256(npz.read_bytes())}
    write_json(path, stored | {"sha256": _sha256(json.dumps(stored).encode())})


def _kept(path: Path, key: str) -> Evaluation | None:
    """Return what `_keep` wrote; None where it is missing, damaged, of other weights or of another configuration."""
    try:
        stored = read_json(path)
        sha256, content = stored.pop("sha256"), read_bytes(path.with_suffix(".npz"), LARGEST_ARRAYS)
        hashes = _sha256(json.dumps(stored).encode()), _sha256(content)
        if stored["key"] != key or hashes != (sha256, stored["arrays"]):
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > LARGEST_ARRAYS:
                return None
            parts = [arrays[name] for name in ARRAYS]
        return Evaluation(with_nan(stored["numbers"]), with_nan(stored["audit"]), *parts)
    except Exception:  # whatever is wrong with it, it can be made again
        return None


def without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON knows them, which has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return numbers as they were before `without_nan`."""
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _reconstruction(model: Autoencoder, codes: Tensor, dataset: Dataset, classifier: Classifier) -> dict[str, float]:
    """How well z alone keeps the test images."""
    originals, decoded = clean(dataset.test), in_batches(model.decode, codes, model)
    return {
        "mse": metrics.reconstruction_mse(originals, decoded),
        "ssim": metrics.ssim(originals, decoded).mean().item(),
        "reconstruction_accuracy": (predictions(classifier, decoded) == dataset.test.labels).double().mean().item(),
    }


def _codes(codes: Tensor, known: Tensor, dataset: Dataset) -> tuple[dict[str, float], Tensor]:
    """What z knows of the digits, how normal it is, and its plane in UMAP."""
    labels, known_labels = dataset.test.labels, dataset.train.labels[: len(known)]
    numbers = {
        "knn_accuracy": metrics.knn_accuracy(known, known_labels, codes, labels),
        "probe_accuracy": metrics.linear_probe_accuracy(known, known_labels, codes, labels),
        **{f"z_{name}": value for name, value in metrics.code_statistics(codes).items()},
    }
    plane = umap_plane(codes, seed=0)
    numbers |= {
        "umap_trustworthiness": metrics.trustworthiness(codes, plane),
        "umap_silhouette": metrics.silhouette(plane, labels),
        "umap_knn_accuracy": metrics.cross_validated_knn_accuracy(plane, labels),
        "umap_distance_from_gaussian": metrics.distance_from_gaussian(plane),
    }
    return numbers, plane


def _path(model: Autoencoder, codes: Tensor, dataset: Dataset, classifier: Classifier) -> dict[str, float]:
    """How sure the classifier is of what lies between two different digits (Fig. 7d)."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(len(dataset.test), (4 * PATHS, 2), generator=generator)
    labels = dataset.test.labels[pairs]
    pairs = pairs[labels[:, 0] != labels[:, 1]][:PATHS]
    _, images = interpolate(model, codes[pairs], torch.linspace(0, 1, PATH_POINTS + 2)[1:-1])
    return {"path_confidence": confidence(classifier, features_of(classifier, images.flatten(0, 1))).mean().item()}


def _likelihood(model: PIE, dataset: Dataset) -> dict[str, float]:
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


def _samples(
    model: Autoencoder, real: Tensor, classifier: Classifier
) -> tuple[dict[str, float], dict[str, float], Tensor, Tensor]:
    """Sharpness and realism of samples from the prior, their audit, the sharpness of each, and a strip of them."""
    count = min(SHARPNESS_SAMPLES, len(real))  # the digits have fewer images to compare with
    codes, samples = prior_samples(model, count, 1.0, seed=0)
    finite = samples.flatten(1).isfinite().all(1)
    numbers = {"samples": float(count), "samples_not_finite": float((~finite).sum())}
    again = in_batches(model.encode, samples, model) if isinstance(model, PIE) else codes
    numbers["sample_round_trip"] = (again - codes).abs().max().item() if isinstance(model, PIE) else math.nan
    _, narrow = prior_samples(model, count, math.sqrt(NARROW_VARIANCE), seed=0)
    numbers |= metrics.realism(classifier, samples, real)
    numbers |= {f"narrow_{name}": value for name, value in metrics.realism(classifier, narrow, real).items()}
    # Of fewer than two there is no standard error: nothing is said of them.
    shown = samples[finite] if finite.sum() > 1 else torch.full_like(samples[:2], math.nan)
    sharpness = metrics.laplacian_variance(shown.clamp(0, 1))
    numbers["sharpness"], numbers["sharpness_error"] = metrics.sharpness(shown.clamp(0, 1))
    numbers["sharpness_unclipped"] = metrics.laplacian_variance(shown).mean().item()
    return numbers, audit(shown), sharpness, samples[:STRIP]


def _fitted_priors(model: Autoencoder, known: Tensor, real: Tensor, classifier: Classifier) -> dict[str, float]:
    """How real samples are whose codes come from priors fitted to the known codes."""
    numbers = {}
    for prior in COMPONENTS:
        drawn = in_batches(model.decode, sample_fitted_codes(known, prior, len(real), seed=0), model)
        generated = features_of(classifier, drawn)
        numbers[f"{prior}_frechet_distance"] = metrics.frechet_distance(real, generated)
    return numbers


def audit(images: Tensor) -> dict[str, float]:
    """Return the mean sharpness of images under each convention in use; each changes one thing of the first."""
    seen = images.clamp(0, 1)
    base = metrics.laplacian_variance(seen)
    return {
        "four neighbours, valid, [0, 1], clipped, mean": base.mean().item(),
        "reflected border": metrics.laplacian_variance(seen, border="reflect").mean().item(),
        "zero border": metrics.laplacian_variance(seen, border="zero").mean().item(),
        "eight neighbours": metrics.laplacian_variance(seen, kernel="eight").mean().item(),
        "range [−1, 1]": metrics.laplacian_variance(2 * seen - 1).mean().item(),
        "range [0, 255]": metrics.laplacian_variance(255 * seen).mean().item(),
        "not clipped": metrics.laplacian_variance(images).mean().item(),
        f"minimum of {AUDIT_BATCH} images": torch.stack([part.min() for part in base.split(AUDIT_BATCH)]).mean().item(),
    }


class PCA(Autoencoder):
    """Principal components fitted to the training images: the floor that any autoencoder of d numbers should pass."""

    mean: Tensor
    axes: Tensor

    def __init__(self, dataset: Dataset, latent_dim: int) -> None:
        super().__init__(dataset.image_shape, latent_dim)
        x = clean(dataset.train).flatten(1).double()
        vectors = torch.linalg.eigh(x.T.cov())[1]
        self.register_buffer("mean", x.mean(0).float())
        self.axes = torch.nn.Parameter(vectors[:, -latent_dim:].float(), requires_grad=False)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.axes

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.axes.T + self.mean).unflatten(1, self.image_shape)

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.reconstruct(x) - x).square().mean()}


@one_thread()
def evaluate_pca(dataset: Dataset, latent_dim: int, classifier: Classifier) -> dict[str, float]:
    """Return the figures of merit of PCA: reconstruction and codes; it has no prior to sample from.

    One thread, as a reproduction's trainings have: UMAP makes the last bits of a code a plane that looks different.
    """
    model = PCA(dataset, latent_dim)
    codes, known = in_batches(model.encode, clean(dataset.test), model), known_codes(model, dataset)
    return {
        "parameters": float(model.axes.numel() + model.mean.numel()),
        **_reconstruction(model, codes, dataset, classifier),
        **_codes(codes, known, dataset)[0],
    }
