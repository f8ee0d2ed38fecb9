"""How real generated images look, in the features of a small classifier."""

import math

import torch
from torch import Tensor

from pie_cli.metrics.classifier import Classifier, confidence, features_of

CHUNK = 1000  # rows handled at a time, so that memory stays bounded


def realism(classifier: Classifier, generated: Tensor, real_features: Tensor, k: int = 5) -> dict[str, float]:
    """Return how real generated images look in a small classifier's features.

    The numbers depend on the classifier: compare them only with others of the same one, and not with published FIDs,
    which are taken in Inception's features. Images (N, C, H, W) are clipped to [0, 1] first; one that is not finite
    counts as unreal in `precision_recall_density_coverage` and makes "frechet_distance" and "confidence" (the mean
    largest class probability) nan. The features of real images, (M, 64), are best of some unseen by the classifier.
    """
    generated_features = features_of(classifier, generated)
    generated_features[~generated.isfinite().flatten(1).all(1)] = math.nan  # which clipping would hide
    return {
        "frechet_distance": frechet_distance(real_features, generated_features),
        **precision_recall_density_coverage(real_features, generated_features, k),
        "confidence": confidence(classifier, generated_features).mean().item(),
    }


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to features a (N, D) and b (M, D).

    |μ_a − μ_b|² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), Dowson & Landau 1982; nan if a feature is not finite. With Σ = R Rᵀ
    the trace of the root is the sum of the singular values of R_aᵀ R_b, which needs no complex arithmetic.
    """
    if not (a.isfinite().all() and b.isfinite().all()):
        return math.nan
    (mean_a, root_a), (mean_b, root_b) = _gaussian(a), _gaussian(b)
    overlap = torch.linalg.svdvals(root_a.T @ root_b).sum()
    distance = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * overlap
    return max(distance.item(), 0.0)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and a root R (D, D) of the covariance R Rᵀ."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(features) - 1))
    return mean, vectors * values.clamp(min=0).sqrt()


def precision_recall_density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> dict[str, float]:
    """Return fidelity and diversity of generated features (M, D) against real ones (N, D).

    Naeem et al. 2020, arXiv 2002.09797. A point's ball reaches to its k-th nearest neighbour in its own set.
    "precision" is the share of generated points inside some real ball, "density" the mean number of real balls around
    a generated point over k (may exceed 1), "recall" the share of real points inside some generated ball, "coverage"
    the share of real balls with a generated point. Raises ValueError unless k is from 1 to one less than the smaller
    set's size.
    """
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f"k must be from 1 to {min(len(real), len(generated)) - 1}, got {k}")
    real, generated = real.double(), generated.double()
    real_radii = _radii(real, k)
    balls = []  # real balls around each generated point
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    for points, radii in zip(generated.split(CHUNK), _radii(generated, k).split(CHUNK), strict=True):
        distances = torch.cdist(points, real)
        inside = distances < real_radii
        balls.append(inside.sum(1))
        covered |= inside.any(0)
        recalled |= (distances < radii[:, None]).any(0)
    counts = torch.cat(balls).double()
    return {
        "precision": (counts > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": counts.mean().item() / k,
        "coverage": covered.double().mean().item(),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """Return each point's distance to its k-th nearest neighbour, shape (N,); its nearest point of all is itself."""
    nearest = [torch.cdist(rows, points).topk(k + 1, largest=False).values for rows in points.split(CHUNK)]
    return torch.cat(nearest).amax(1)
