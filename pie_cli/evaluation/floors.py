"""What figures of merit are compared with: PCA of the same dimension, and draws of the prior itself."""

import math

import torch
from torch import Tensor

from pie_cli.data.base import Dataset, ImageSet
from pie_cli.evaluation import measure
from pie_cli.metrics.inference import batches, clean, in_batches
from pie_cli.metrics.realism import Panel
from pie_cli.models.base import Autoencoder
from pie_cli.runtime import one_thread

EXACT = 4_096  # pixel values of images whose covariance is decomposed as it is
IMAGES = 10_000  # at most, that components of larger images are fitted to
VALUES = 2**26  # pixel values that are in memory at a time


class PCA(Autoencoder):
    """Principal components fitted to the training images: the floor that any autoencoder of d numbers should pass."""

    mean: Tensor
    axes: Tensor

    def __init__(self, dataset: Dataset, latent_dim: int) -> None:
        super().__init__(dataset.image_shape, latent_dim)
        mean, axes = _components(dataset.train, latent_dim)
        self.register_buffer("mean", mean)
        self.axes = torch.nn.Parameter(axes, requires_grad=False)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.axes

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.axes.T + self.mean).unflatten(1, self.image_shape)

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.reconstruct(x) - x).square().mean()}


def _components(images: ImageSet, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the first principal components (D, count): exact ones, and of larger images nearly so.

    Components that few images do not have are zeros.
    """
    values = math.prod(images.images.shape[1:])
    if values <= EXACT:
        mean, covariance = _moments(images)
        return mean.float(), torch.linalg.eigh(covariance)[1][:, -count:].float()
    from sklearn.decomposition import PCA as Randomised

    x = clean(images.some(min(IMAGES, VALUES // values))).flatten(1)
    fitted = Randomised(min(count, len(x)), svd_solver="randomized", random_state=0).fit(x.numpy())
    axes = torch.zeros(values, count)
    axes[:, : len(fitted.components_)] = torch.from_numpy(fitted.components_).T
    return torch.from_numpy(fitted.mean_), axes


def _moments(images: ImageSet) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the covariance (D, D) of images, in float64."""
    if len(images) > 1 and images.images.numel() <= VALUES:
        x = clean(images).flatten(1).double()
        return x.mean(0), x.T.cov()
    total, products = torch.zeros(1, dtype=torch.double), torch.zeros(1, dtype=torch.double)
    for batch in batches(images):
        x = batch.flatten(1).double()
        total, products = total + x.sum(0), products + x.T @ x
    mean = total / len(images)
    return mean, (products - len(images) * mean.outer(mean)) / max(1, len(images) - 1)


@one_thread()
def evaluate_pca(dataset: Dataset, latent_dim: int, panel: Panel, quick: bool) -> dict[str, float]:
    """Return the figures of merit of PCA: reconstruction and codes; it has no prior to sample from.

    One thread, as a reproduction's trainings have: UMAP makes the last bits of a code a plane that looks different.
    """
    model = PCA(dataset, latent_dim)
    codes, known = (in_batches(model.encode, of, model) for of in (dataset.test, dataset.train))
    return {
        "parameters": float(model.axes.numel() + model.mean.numel()),
        **measure.reconstruction(model, codes, dataset, panel),
        **measure.knowledge(codes, known, dataset),
        **measure.planes(codes, dataset.test.labels, quick)[0],
    }


@one_thread()
def evaluate_normal(count: int, latent_dim: int, quick: bool) -> dict[str, float]:
    """Return how far UMAP's planes of `count` draws of N(0, I_d) are from a Gaussian, by the seeds that runs have."""
    codes = torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(0))
    return measure.each_plane(codes, quick, measure.shape)[0]
