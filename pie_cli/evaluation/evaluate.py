"""The figures of merit of a trained run, measured once and kept in its folder."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_cli import constants as paper
from pie_cli.data.base import Dataset
from pie_cli.evaluation import measure
from pie_cli.evaluation.cache import Evaluation, keep, kept, key_of
from pie_cli.metrics.inception import inception_frechet_distance
from pie_cli.metrics.inference import clean, encode_pairs, in_batches, interpolate, prior_samples
from pie_cli.metrics.realism import Panel
from pie_cli.models.base import PROJECTION_STEPS, Autoencoder
from pie_cli.models.pie import PIE
from pie_cli.plots.figures import kind_of
from pie_cli.runs.folder import Run

MEASURES = {
    "parameters": "parameters",
    "training_seconds": "training, s",
    "mse": "MSE from z alone",
    "mse_unclipped": "MSE from z alone, not clipped",
    "projected_mse": f"MSE after {PROJECTION_STEPS} steps of projection (a tenth of the images)",
    "ssim": "SSIM from z alone",
    "reconstruction_accuracy": "classifier accuracy on reconstructions",
    "nll": "−log p(x), nats",
    "nll_treated": "−log p(x), nats, images as in training",
    "bits_per_dim": "bits per dimension",
    "residuals_over_eps2": "r²/ε₀², all levels",
    "residuals_over_eps2_treated": "r²/ε₀², all levels, images as in training",
    "knn_accuracy": "5-NN accuracy of z",
    "probe_accuracy": "linear-probe accuracy of z",
    "z_trustworthiness": "z: trustworthiness, from images to z",
    "z_largest_mean": "z: largest |mean| of a dimension (prior 0)",
    "z_std": "z: standard deviation (prior 1)",
    "z_largest_covariance": "z: largest |covariance| of two dimensions (prior 0)",
    "z_kurtosis": "z: mean |excess kurtosis| (prior 0)",
    "accepted": "samples at N(0, 1): accepted as digits",
    "accepted_spread": "samples at N(0, 1): accepted, std of three classifiers",
    "frechet_distance": "samples at N(0, 1): Fréchet distance",
    "frechet_distance_spread": "samples at N(0, 1): Fréchet distance, std of three classifiers",
    "precision": "samples at N(0, 1): precision",
    "recall": "samples at N(0, 1): recall",
    "density": "samples at N(0, 1): density",
    "coverage": "samples at N(0, 1): coverage",
    "confidence": "samples at N(0, 1): classifier confidence",
    "sharpness": "samples at N(0, 1): sharpness",
    "samples_not_finite": "samples at N(0, 1): not finite",
    "sample_round_trip": "samples at N(0, 1): largest error of z decoded and encoded",
    "narrow_accepted": "samples at N(0, 0.5): accepted as digits",
    "narrow_frechet_distance": "samples at N(0, 0.5): Fréchet distance",
    "narrow_recall": "samples at N(0, 0.5): recall",
    "half_accepted": "samples at a standard deviation of 0.5: accepted as digits",
    "half_frechet_distance": "samples at a standard deviation of 0.5: Fréchet distance",
    "half_recall": "samples at a standard deviation of 0.5: recall",
    "gaussian_frechet_distance": "samples of a Gaussian fitted to z: Fréchet distance",
    "fitted_frechet_distance": "samples of a mixture fitted to z: Fréchet distance",
    "path_ends": "paths: both ends decoded to their digits",
    "paths": "paths that pass through digits",
    "umap_trustworthiness": "UMAP plane: trustworthiness",
    "umap_silhouette": "UMAP plane: silhouette of the digits",
    "umap_knn_accuracy": "UMAP plane: 5-NN accuracy",
    "umap_distance_from_gaussian": "UMAP plane: distance from a Gaussian",
    "inverse_error": "exact inverse: largest error, float32",
    "inverse_error_float64": "exact inverse: largest error, float64 (a tenth of the images)",
}  # what tables call the figures of merit, in their order


def measures_of(classes: Sequence[str] | None) -> dict[str, str]:
    """Return `MEASURES` in the words of these classes; without classes Inception's distance stands beside them."""
    if kind_of(classes) == "digit":
        return MEASURES
    worded = {name: text.replace("accepted as digits", "accepted") for name, text in MEASURES.items()}
    worded = {name: text.replace("digits", "classes") for name, text in worded.items()}
    if classes is None:
        worded["inception_frechet_distance"] = "samples at N(0, 1): Fréchet distance in Inception's features (FID)"
    return worded


def evaluate(run: Run, dataset: Dataset, panel: Panel, device: str) -> Evaluation:
    """Return the run's figures of merit, from its folder where they were measured of the same weights before.

    Processes that measure the same run at once need no lock: each writes whole files that name the weights, the same
    ones up to the last bits in which machines differ, and numbers are never paired with arrays that are not their own.
    What is damaged is measured again.
    """
    path, key = run.folder / "evaluation.json", key_of(run, dataset, panel)
    evaluation = kept(path, key)
    if evaluation is None:
        model = run.load_model(device)
        if run.config.training:
            dataset = dataset.limited(run.config.training.train_images)
        numbers = {"parameters": float(sum(p.numel() for p in model.parameters()))}
        numbers["training_seconds"] = float(run.provenance.get("wall_seconds", math.nan))
        codes, known = (in_batches(model.encode, of, model) for of in (dataset.test, dataset.train))
        numbers |= measure.reconstruction(model, codes, dataset, panel) | measure.knowledge(codes, known, dataset)
        of_planes, plane = measure.planes(codes, dataset.test.labels, run.config.quick)
        numbers |= of_planes | measure.paths(model, codes, dataset, panel)
        if isinstance(model, PIE):
            training = run.config.resolved if run.config.training else None
            numbers |= measure.likelihood(model, dataset, training) | measure.inverse_errors(model, dataset)
        count = measure.sample_count(dataset)
        numbers |= measure.fitted_priors(model, known, panel, count)
        sampled, audited, each, drawn = measure.samples(model, count, panel)
        if dataset.classes is None:
            sampled["inception_frechet_distance"] = inception_frechet_distance(dataset.test, drawn)
        # Only what is finite can be kept, so only that is returned, now and later.
        finite = {name: value if math.isfinite(value) else math.nan for name, value in (numbers | sampled).items()}
        evaluation = Evaluation(finite, audited, each.numpy(), plane.numpy(), pictures(model, dataset, drawn))
        keep(path, key, evaluation)
    return evaluation


def pictures(model: Autoencoder, dataset: Dataset, drawn: Tensor) -> Mapping[str, NDArray[np.uint8]]:
    """Return what Fig. 7 to 9 show of a model, in grey levels; `drawn` are its samples.

    "reconstructions" of the first test images, "samples" and those of the "narrow" prior, and "paths" between the test
    images (0, 1), (2, 3), …, which are not chosen for their looks, as (rows, columns, C, H, W).
    """
    rows = torch.arange(2 * min(paper.MANY_INTERPOLATIONS, len(dataset.test) // 2)).view(-1, 2)
    if not len(rows):  # a single image
        rows = torch.zeros(1, 2, dtype=torch.long)
    ends, t = encode_pairs(model, dataset.test, rows), torch.linspace(0, 1, paper.COLUMNS)
    shown = {
        "reconstructions": in_batches(model.reconstruct, clean(dataset.test[: paper.RECONSTRUCTIONS]), model),
        "samples": drawn[: paper.SHEET],
        "narrow": prior_samples(model, paper.SAMPLES, math.sqrt(paper.NARROW_VARIANCE), seed=0)[1],
        "paths": interpolate(model, ends, t)[1],
    }
    return {name: grey_levels(images) for name, images in shown.items()}


def grey_levels(images: Tensor) -> NDArray[np.uint8]:
    """Return images as a screen shows them: clipped to [0, 1], in 256 levels; what is not a number is black."""
    return images.nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
