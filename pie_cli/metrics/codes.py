"""Figures of merit of codes: what z knows of the classes, how normal it is, how true a map of it is.

The same input always gives the same number, and too few codes for a measure give nan. scikit-learn and scipy are
imported where they are used: they cost seconds.
"""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray

FIFTHS = 5  # parts of a cross-validation


def knn_accuracy(train_codes: Array, train_labels: Array, codes: Array, labels: Array, k: int = 5) -> float:
    """Return the accuracy in [0, 1] of a k-nearest-neighbour classifier of codes (N, d)."""
    if len(train_codes) < k:
        return math.nan
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k).fit(_rows(train_codes), np.asarray(train_labels))
    return float(classifier.score(_rows(codes), np.asarray(labels)))


def cross_validated_knn_accuracy(codes: Array, labels: Array, k: int = 5) -> float:
    """Return the accuracy in [0, 1] of a k-nearest-neighbour classifier of codes (N, d), each fifth by the other four.

    It is nan if no class has five codes.
    """
    if np.unique(labels, return_counts=True)[1].max(initial=0) < FIFTHS or len(codes) * (FIFTHS - 1) // FIFTHS < k:
        return math.nan
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # some folds lack it, no more
        scores = cross_val_score(KNeighborsClassifier(k), _rows(codes), np.asarray(labels), cv=FIFTHS)
    return float(scores.mean())


def linear_probe_accuracy(train_codes: Array, train_labels: Array, codes: Array, labels: Array) -> float:
    """Return the accuracy in [0, 1] of logistic regression on codes (N, d), standardised by the training codes.

    It is nan if all training codes are of one class.
    """
    if len(np.unique(train_labels)) < 2:
        return math.nan
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
    """Return how far codes (N, d) are from the prior N(0, I), for which these are 0, 1, 0 and 0.

    "largest_mean" is the largest |mean| of a dimension, "std" is `spread`, "kurtosis" the mean |excess kurtosis| of
    the dimensions, in which heavy and light tails do not cancel (nan if a dimension is constant), and
    "largest_covariance" the largest |covariance| of two dimensions (0 if there is one).
    """
    from scipy.stats import kurtosis

    z = _rows(codes)
    if len(z) < 2:
        return dict.fromkeys(("largest_mean", "std", "kurtosis", "largest_covariance"), math.nan)
    mean = float(np.abs(z.mean(0)).max())
    covariance = np.cov(z.T).reshape(z.shape[1], z.shape[1])
    return {
        "largest_mean": mean,
        "std": spread(codes),
        "kurtosis": float(np.abs(kurtosis(z)).mean()),
        "largest_covariance": float(np.abs(covariance - np.diag(np.diag(covariance))).max()),
    }


def trustworthiness(original: Array, reduced: Array, k: int = 5, points: int = 2000, seed: int = 0) -> float:
    """Return in [0, 1] how far k neighbours in a reduced space (N, d) are neighbours in the original (N, …); 1 is best.

    Venna & Kaski 2001, in scikit-learn's form, with Euclidean distances. Memory grows with the square of the number of
    points, so a larger set is reduced to a random subset of `points`, chosen by `seed`.
    """
    from sklearn.manifold import trustworthiness as score

    chosen = np.random.default_rng(seed).permutation(len(reduced))[:points]
    if 2 * k >= len(chosen):
        return math.nan
    return float(score(_rows(original[chosen]), _rows(reduced[chosen]), n_neighbors=k))


def silhouette(codes: Array, labels: Array, points: int = 2000, seed: int = 0) -> float:
    """Return in [−1, 1], 1 best, how well labels separate codes (N, d), at most `points` of them (Rousseeuw 1987).

    It is nan of a single class, and where no class has two codes.
    """
    from sklearn.metrics import silhouette_score

    chosen = np.random.default_rng(seed).permutation(len(codes))[:points]
    known = np.asarray(labels)[chosen]
    if not 2 <= len(np.unique(known)) < len(known):
        return math.nan
    return float(silhouette_score(_rows(codes)[chosen], known))


def distance_from_gaussian(points: Array, directions: int = 100, seed: int = 0) -> float:
    """Return in [0, 1] how far points (N, d) are from a Gaussian, 0 for an infinite sample of one.

    The mean Kolmogorov-Smirnov distance between the standardised projections onto random directions and N(0, 1).
    """
    from scipy.stats import kstest

    rows = _rows(points)
    if len(rows) < 2 or not np.isfinite(rows).all():
        return math.nan
    projections = (rows - rows.mean(0)) @ np.random.default_rng(seed).normal(size=(rows.shape[1], directions))
    projections /= projections.std(0)
    return float(np.mean([kstest(column, "norm").statistic for column in projections.T]))


def _rows(x: Array) -> np.ndarray:
    """Return (N, D) doubles, whatever the shape behind N."""
    return torch.as_tensor(x).detach().cpu().flatten(1).double().numpy()
