"""Figures of merit, as plain functions of tensors; the same input always gives the same number.

Sharpness says nothing of realism (noise is sharp), so the paper's Table 1 is read beside `realism`.
scikit-learn, scipy and torchmetrics are imported where they are used: they cost seconds at start-up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pie_cli.classifier import confidence, features_of

if TYPE_CHECKING:
    from pie_cli.classifier import Classifier

Array = Tensor | np.ndarray

CHUNK = 1000  # rows handled at a time, so that memory stays bounded
LAPLACIANS = {
    "four": [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]],
    "eight": [[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]],
}
BORDERS = {"valid": None, "reflect": "reflect", "zero": "constant"}


# Sharpness


def laplacian_variance(
    images: Tensor,
    kernel: Literal["four", "eight"] = "four",
    border: Literal["valid", "reflect", "zero"] = "valid",
) -> Tensor:
    """Return the sharpness of each image, shape (N,): the variance of its response to a 3×3 Laplacian.

    The defaults reproduce the paper's "True 0.18" (section 5.2, Table 1) on MNIST's test images. The variance is the
    population's, over all responses of one image. Images are taken as they are: clip generated ones to [0, 1] first.

    Arguments:
        images: (N, C, H, W) floats; three channels become grey by the luma weights of ITU-R BT.601, any other
            number by their mean.
        kernel: the Laplacian's neighbours, "four" or "eight".
        border: "valid" uses only responses that lie wholly inside the image; "reflect" and "zero" pad it by one pixel.

    Raises:
        ValueError: for an unknown kernel or border.
    """
    if kernel not in LAPLACIANS:
        raise ValueError(f"kernel must be one of {sorted(LAPLACIANS)}, got {kernel!r}")
    if border not in BORDERS:
        raise ValueError(f"border must be one of {sorted(BORDERS)}, got {border!r}")
    grey = _grey(images)
    padding = BORDERS[border]
    if padding is not None:
        grey = F.pad(grey, (1, 1, 1, 1), mode=padding)
    response = F.conv2d(grey, grey.new_tensor(LAPLACIANS[kernel])[None, None])
    return response.flatten(1).var(1, correction=0)


def sharpness(images: Tensor) -> tuple[float, float]:
    """Return the mean of `laplacian_variance` over at least two images, as in Table 1, and its standard error."""
    values = laplacian_variance(images).double()
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def _grey(images: Tensor) -> Tensor:
    """Return (N, 1, H, W)."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    luma = images.new_tensor([0.299, 0.587, 0.114])
    return (images * luma[:, None, None]).sum(1, keepdim=True)


# Reconstruction


def squared_error(x: Tensor, x_hat: Tensor, clip: bool = True) -> Tensor:
    """Return the mean squared error per pixel of each image, shape (N,).

    Arguments:
        x: images (N, C, H, W) in [0, 1].
        x_hat: their reconstructions, same shape.
        clip: compare what a viewer sees, `x_hat` clipped to [0, 1]; it never makes the error larger.
    """
    difference = x - (x_hat.clamp(0, 1) if clip else x_hat)
    return difference.square().flatten(1).mean(1)


def reconstruction_mse(x: Tensor, x_hat: Tensor, clip: bool = True) -> float:
    """Return the mean of `squared_error` over all images."""
    return squared_error(x, x_hat, clip).double().mean().item()


def ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return the structural similarity of each image and its reconstruction clipped to [0, 1], shape (N,).

    At most 1, for equal images (Wang et al. 2004, doi:10.1109/TIP.2003.819861: Gaussian window of σ = 1.5).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = [
        structural_similarity_index_measure(b.clamp(0, 1), a, data_range=1.0, reduction="none")
        for a, b in zip(x.split(CHUNK), x_hat.split(CHUNK), strict=True)
    ]
    return torch.cat([value.reshape(-1) for value in values if isinstance(value, Tensor)])


# Codes


def knn_accuracy(train_codes: Array, train_labels: Array, codes: Array, labels: Array, k: int = 5) -> float:
    """Return the accuracy in [0, 1] of a k-nearest-neighbour classifier of codes (N, d)."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k).fit(_rows(train_codes), np.asarray(train_labels))
    return float(classifier.score(_rows(codes), np.asarray(labels)))


def cross_validated_knn_accuracy(codes: Array, labels: Array, k: int = 5) -> float:
    """Return the accuracy in [0, 1] of a k-nearest-neighbour classifier of codes (N, d), each fifth by the other four.

    Raises:
        ValueError: if no class has five codes.
    """
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    return float(cross_val_score(KNeighborsClassifier(k), _rows(codes), np.asarray(labels), cv=5).mean())


def linear_probe_accuracy(train_codes: Array, train_labels: Array, codes: Array, labels: Array) -> float:
    """Return the accuracy in [0, 1] of logistic regression on codes (N, d), standardised by the training codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=0))
    probe.fit(_rows(train_codes), np.asarray(train_labels))
    return float(probe.score(_rows(codes), np.asarray(labels)))


def spread(codes: Array) -> float:
    """Return the root of the mean variance of the dimensions of codes (N, d), which is 1 for the prior N(0, I)."""
    return float(np.sqrt(_rows(codes).var(0).mean()))


def code_statistics(codes: Array) -> dict[str, float]:
    """Return how far codes (N, d) are from the prior N(0, I), for which these are 0, 1 and 0.

    "largest_mean" is the largest |mean| of a dimension, "std" is `spread`, "kurtosis" the dimensions' mean
    excess kurtosis (nan if a dimension is constant).
    """
    from scipy.stats import kurtosis

    z = _rows(codes)
    return {
        "largest_mean": float(np.abs(z.mean(0)).max()),
        "std": spread(codes),
        "kurtosis": float(kurtosis(z).mean()),
    }


def trustworthiness(original: Array, reduced: Array, k: int = 5, points: int = 2000, seed: int = 0) -> float:
    """Return in [0, 1] how far neighbours in a reduced space are neighbours in the original too; 1 is best.

    Venna & Kaski 2001, in scikit-learn's form, with Euclidean distances. Memory grows with the square of the number of
    points, so a larger set is reduced to a random subset of `points`, chosen by `seed`.

    Arguments:
        original: (N, …), images or codes.
        reduced: (N, d), their codes or a map of them.
        k: number of neighbours.
    """
    from sklearn.manifold import trustworthiness as score

    chosen = _subset(len(reduced), points, seed)
    return float(score(_rows(original)[chosen], _rows(reduced)[chosen], n_neighbors=k))


def silhouette(codes: Array, labels: Array, points: int = 2000, seed: int = 0) -> float:
    """Return in [−1, 1] how well the labels separate the codes (N, d); 1 is best (Rousseeuw 1987).

    A larger set is reduced to a random subset of `points`, chosen by `seed`.
    """
    from sklearn.metrics import silhouette_score

    chosen = _subset(len(codes), points, seed)
    return float(silhouette_score(_rows(codes)[chosen], np.asarray(labels)[chosen]))


def distance_from_gaussian(points: Array, directions: int = 100, seed: int = 0) -> float:
    """Return in [0, 1] how far points (N, d) are from a Gaussian, 0 for an infinite sample of one.

    The mean Kolmogorov-Smirnov distance between the standardised projections onto random directions and N(0, 1).
    """
    from scipy.stats import kstest

    rows = _rows(points)
    projections = (rows - rows.mean(0)) @ np.random.default_rng(seed).normal(size=(rows.shape[1], directions))
    projections /= projections.std(0)
    return float(np.mean([kstest(column, "norm").statistic for column in projections.T]))


def _rows(x: Array) -> np.ndarray:
    """Return (N, D) doubles, whatever the shape behind N."""
    return torch.as_tensor(x).detach().cpu().flatten(1).double().numpy()


def _subset(n: int, points: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n)[:points]


# Realism of generated images


def realism(classifier: Classifier, generated: Tensor, real_features: Tensor, k: int = 5) -> dict[str, float]:
    """Return how real generated images look in a small classifier's features.

    The numbers depend on the classifier: compare them only with others of the same one, and not with published FIDs,
    which are taken in Inception's features. An image that is not finite counts as unreal in
    `precision_recall_density_coverage` and makes "frechet_distance" and "confidence" nan.

    Arguments:
        classifier: from `load_or_train_classifier`.
        generated: images (N, C, H, W), clipped to [0, 1] before anything else.
        real_features: `features_of` real images, (M, 64), best unseen by the classifier.
        k: number of neighbours.

    Returns:
        "frechet_distance", "precision", "recall", "density", "coverage", and "confidence", the generated images'
        mean largest class probability.
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
    the share of real balls with a generated point.

    Raises:
        ValueError: unless k is from 1 to one less than the smaller set's size.
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
