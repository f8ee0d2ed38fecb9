"""What figures of merit are compared with: PCA of the same dimension, and draws of the prior itself."""

import torch
from torch import Tensor

from pie_cli.data.base import Dataset
from pie_cli.evaluation import measure
from pie_cli.metrics.inference import clean, in_batches
from pie_cli.metrics.realism import Panel
from pie_cli.models.base import Autoencoder
from pie_cli.runtime import one_thread


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

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.reconstruct(x) - x).square().mean()}


@one_thread()
def evaluate_pca(dataset: Dataset, latent_dim: int, panel: Panel, quick: bool) -> dict[str, float]:
    """Return the figures of merit of PCA: reconstruction and codes; it has no prior to sample from.

    One thread, as a reproduction's trainings have: UMAP makes the last bits of a code a plane that looks different.
    """
    model = PCA(dataset, latent_dim)
    codes, known = (in_batches(model.encode, clean(of), model) for of in (dataset.test, dataset.train))
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
    return measure.planes(codes, None, quick)[0]
