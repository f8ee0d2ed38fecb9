"""How real generated images look, in the features of small classifiers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Self

import torch
from torch import Tensor

from pie_cli.data.base import Dataset, ImageSet
from pie_cli.metrics.classifier import (
    MAX_STEPS,
    QUICK_STEPS,
    SMALLEST_SIDE,
    Classifier,
    confidence,
    features_of,
    load_or_train_classifiers,
    predictions,
)

CHUNK = 1000  # rows handled at a time, so that memory stays bounded
NEIGHBOURS = 5  # a point's neighbourhood reaches to its fifth nearest neighbour
LEAST_SURE = 0.05  # share of the real images that are less sure than an accepted one
SPREAD = ("frechet_distance", "accepted")  # measures whose spread over the judges is told
# Every measure of realism, as `Panel.realism` names it.
REALISM = (
    *("frechet_distance", "precision", "recall", "density", "coverage", "confidence", "accepted"),
    *(f"{name}_spread" for name in SPREAD),
)


@dataclass(frozen=True)
class Judge:
    """A classifier beside real images, in whose features it compares generated ones with them.

    The numbers depend on the classifier: compare them only with others of the same one, and not with published FIDs,
    which are taken in Inception's features. Images (N, C, H, W) are clipped to [0, 1] first.

    Arguments:
        classifier: what makes features of images.
        real: the features of the real images, (M, 64); best of some that the classifier has not seen.
        k: how far a neighbourhood reaches.
    """

    classifier: Classifier
    real: Tensor
    k: int = NEIGHBOURS

    @cached_property
    def radii(self) -> Tensor:
        """How far the neighbourhood of each real image reaches, (M,)."""
        return _radii(self.real, self.k)

    @cached_property
    def least_confidence(self) -> float:
        """The largest class probability of which 5 % of the real images have less."""
        return confidence(self.classifier, self.real).quantile(LEAST_SURE).item()

    def accepts(self, images: Tensor) -> Tensor:
        """Return whether each image is accepted as one of the real images' kind, (N,).

        It lies in the neighbourhood of a real image, and the classifier is at least as sure of it as of the least sure
        5 % of the real images. An image that is not finite is not accepted.
        """
        features = self._features(images)
        inside = (torch.cdist(points, self.real) < self.radii for points in features.split(CHUNK))
        return self._accepted(features, torch.cat([near.any(1) for near in inside]))

    def can_compare(self, images: Tensor) -> bool:
        """Return whether images and real ones have `k` neighbours each in their own set."""
        return self.k < min(len(self.real), len(images))

    @torch.no_grad()
    def sees(self, labels: Tensor) -> Tensor:
        """Return whether the classifier sees its class, of `labels` (M,), in each real image, (M,)."""
        return self.classifier.head(self.real).argmax(1).cpu() == labels

    def recognises(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return whether the classifier sees its class, of `labels` (N,), in each finite image, (N,)."""
        finite = images.flatten(1).isfinite().all(1).cpu()
        return finite & (predictions(self.classifier, images).cpu() == labels)

    def realism(self, images: Tensor) -> dict[str, float]:
        """Return how real the images look.

        One that is not finite counts as unreal in "accepted" and in `precision_recall_density_coverage`, and makes
        "frechet_distance" and "confidence" (the mean largest class probability) nan. Of too few images all are nan.
        """
        features = self._features(images)
        if not self.can_compare(images):
            return dict.fromkeys(REALISM[: -len(SPREAD)], math.nan)
        counts, found = _compare(self.real, self.radii, features, self.k)
        return {
            "frechet_distance": frechet_distance(self.real, features),
            **found,
            "confidence": confidence(self.classifier, features).mean().item(),
            "accepted": self._accepted(features, counts > 0).double().mean().item(),
        }

    def frechet_distance(self, images: Tensor) -> float:
        """Return the Fréchet distance between the images and the real ones."""
        return frechet_distance(self.real, self._features(images))

    def _features(self, images: Tensor) -> Tensor:
        features = features_of(self.classifier, images)
        features[~images.to(features.device).isfinite().flatten(1).all(1)] = math.nan  # which clipping would hide
        return features

    def _accepted(self, features: Tensor, near: Tensor) -> Tensor:
        return (near & (confidence(self.classifier, features) >= self.least_confidence)).cpu()


@dataclass(frozen=True)
class Panel:
    """Several judges, whose classifiers differ in their seed. What it says is their mean.

    Images without classes, or too small for a classifier, have no judges, and of them every measure is nan.
    """

    judges: Sequence[Judge]

    @classmethod
    def of(cls, classifiers: Sequence[Classifier], real: Tensor | ImageSet) -> Self:
        """Return a judge for each classifier, beside the same real images (M, C, H, W)."""
        return cls([Judge(classifier, features_of(classifier, real)) for classifier in classifiers])

    @classmethod
    def load_or_train(cls, cache: Path, dataset: Dataset, report: Callable[[str], None] = lambda message: None) -> Self:
        """Return the judges of a data set, beside its test images (see `load_or_train_classifiers`)."""
        if dataset.classes is None or min(dataset.image_shape[1:]) < SMALLEST_SIDE:
            return cls([])
        steps = QUICK_STEPS if dataset.is_quick else MAX_STEPS
        classes = len(dataset.classes)
        judges = load_or_train_classifiers(cache, dataset.train, dataset.name, report, classes, steps)
        return cls.of(judges, dataset.test)

    def mean(self, measure: Callable[[Judge], float]) -> float:
        """Return the mean of a measure."""
        return fmean(map(measure, self.judges)) if self.judges else math.nan

    def accuracy(self, labels: Tensor | None) -> float:
        """Return the share of the real images whose class, of `labels` (M,), the classifiers see."""
        if labels is None:
            return math.nan
        return self.mean(lambda judge: judge.sees(labels).double().mean().item())

    def frechet_distance(self, images: Tensor) -> float:
        """Return the mean of `Judge.frechet_distance`."""
        return self.mean(lambda judge: judge.frechet_distance(images))

    def realism(self, images: Tensor) -> dict[str, float]:
        """Return the mean of `Judge.realism`, and the standard deviation over the judges of what `SPREAD` names."""
        if not self.judges:
            return dict.fromkeys(REALISM, math.nan)
        each = [judge.realism(images) for judge in self.judges]
        numbers = {name: fmean(of[name] for of in each) for name in each[0]}
        if len(each) > 1:
            numbers |= {f"{name}_spread": _spread([of[name] for of in each]) for name in SPREAD}
        return numbers


def _spread(values: list[float]) -> float:
    """Return the standard deviation, which `statistics` does not know of values that are not finite."""
    return stdev(values) if all(map(math.isfinite, values)) else math.nan


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to features a (N, D) and b (M, D).

    |μ_a − μ_b|² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), Dowson & Landau 1982; nan if a feature is not finite, or if
    there are fewer than two of them, of which nobody knows a covariance. With Σ = R Rᵀ
    the trace of the root is the sum of the singular values of R_aᵀ R_b, which needs no complex arithmetic.
    """
    if min(len(a), len(b)) < 2 or not (a.isfinite().all() and b.isfinite().all()):
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


def precision_recall_density_coverage(real: Tensor, generated: Tensor, k: int = NEIGHBOURS) -> dict[str, float]:
    """Return fidelity and diversity of generated features (M, D) against real ones (N, D).

    Naeem et al. 2020, arXiv 2002.09797. A point's ball reaches to its k-th nearest neighbour in its own set.
    "precision" is the share of generated points inside some real ball, "density" the mean number of real balls around
    a generated point over k (may exceed 1), "recall" the share of real points inside some generated ball, "coverage"
    the share of real balls with a generated point. Raises ValueError unless k is from 1 to one less than the smaller
    set's size.
    """
    _check_neighbours(k, real, generated)
    return _compare(real, _radii(real, k), generated, k)[1]


def _check_neighbours(k: int, real: Tensor, generated: Tensor) -> None:
    """Raise ValueError unless each point has k neighbours in its own set."""
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f"k must be from 1 to {min(len(real), len(generated)) - 1}, got {k}")


def _compare(real: Tensor, real_radii: Tensor, generated: Tensor, k: int) -> tuple[Tensor, dict[str, float]]:
    """Return the number of real balls around each generated point, (M,), and fidelity and diversity."""
    balls = []
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    for points, radii in zip(generated.split(CHUNK), _radii(generated, k).split(CHUNK), strict=True):
        distances = torch.cdist(points, real)
        inside = distances < real_radii
        balls.append(inside.sum(1))
        covered |= inside.any(0)
        recalled |= (distances < radii[:, None]).any(0)
    counts = torch.cat(balls)
    return counts, {
        "precision": (counts > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": counts.double().mean().item() / k,
        "coverage": covered.double().mean().item(),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """Return each point's distance to its k-th nearest neighbour, shape (N,); its nearest point of all is itself."""
    nearest = [torch.cdist(rows, points).topk(k + 1, largest=False).values for rows in points.split(CHUNK)]
    return torch.cat(nearest).amax(1)
