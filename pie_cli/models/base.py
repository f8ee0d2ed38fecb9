"""What all models have in common, so that training, figures and metrics never ask which model they hold."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from pie_cli.models.config import ModelConfig

# Of `Autoencoder.project`, chosen by the MSE of validation images (docs/EXPERIMENTS.md).
PROJECTION_STEPS = 40
PROJECTION_RATE = 0.1


class Autoencoder(nn.Module, ABC):
    """Images (B, C, H, W) in [0, 1] to codes z (B, d) and back, with the prior z ~ N(0, I)."""

    config: ModelConfig

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.folder: Path | None = None  # the run folder from which it was loaded

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return the codes z, shape (B, d). Raises ValueError for images of another shape."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Return images (B, C, H, W), a PIE's not clipped to [0, 1]. Raises ValueError for codes of another shape."""

    @abstractmethod
    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return scalars averaged over the batch: "loss", as `loss` returns it, then its terms by name."""

    def loss(self, x: Tensor) -> Tensor:
        """Return the scalar that training minimises: a mean over the batch, per pixel value of an image."""
        return self.loss_terms(x)["loss"]

    def start_from_data(self, images: Tensor) -> None:
        """Set what the model starts from the data; by default nothing."""

    def expect(self, names: Iterable[str]) -> None:
        """Make room for what only some models of a configuration have, given the names of a state; by default none."""

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return decode(encode(x)), without gradients: what z alone keeps of the images."""
        return self.decode(self.encode(x))

    def project(self, x: Tensor, steps: int = PROJECTION_STEPS, rate: float = PROJECTION_RATE) -> Tensor:
        """Return the codes z (B, d), without gradients, whose decoded images are nearest to x in squared error.

        Adam, at a constant learning rate, moves z from `encode`'s by so many steps. Each image keeps the best z that it
        had, so the error is never larger than that of `reconstruct`. It measures the manifold that the model decodes,
        whatever the encoder does.
        """
        with torch.no_grad():
            z = self.encode(x)
        target, best = self.as_images(x), z
        least = torch.full_like(z[:, 0], torch.inf)
        z = z.clone().requires_grad_()
        optimizer = torch.optim.Adam([z], rate)
        for step in range(steps + 1):
            with torch.enable_grad():
                errors = (self.decode(z) - target).square().flatten(1).sum(1)
                total = errors.sum()
            better = errors.detach() < least
            least, best = torch.where(better, errors.detach(), least), torch.where(better[:, None], z.detach(), best)
            if step < steps:
                (z.grad,) = torch.autograd.grad(total, z)
                optimizer.step()
        return best

    @torch.no_grad()
    def sample(self, n: int, std: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Return n images decoded from z ~ N(0, std²·I), without gradients.

        The codes are drawn on the CPU in float32: a seed gives the same on every device.
        """
        codes = std * torch.randn(n, self.latent_dim, generator=generator, device="cpu", dtype=torch.float32)
        return self.decode(codes.to(next(self.parameters()).device))

    def as_images(self, x: Tensor) -> Tensor:
        """Return x in the type of the model's weights. Raises ValueError unless it is a batch of this model's images.

        Whole numbers are refused: they are grey levels that nobody has divided by 255.
        """
        if tuple(x.shape[1:]) != self.image_shape:
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"expected images of shape (B, {shape}), got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"expected images of floats in [0, 1], got {str(x.dtype).removeprefix('torch.')}")
        return x.to(next(self.parameters()).dtype)

    def as_codes(self, z: Tensor) -> Tensor:
        """Return z in the type of the model's weights. Raises ValueError unless it is a batch of this model's codes."""
        if tuple(z.shape[1:]) != (self.latent_dim,):
            raise ValueError(f"expected codes of shape (B, {self.latent_dim}), got {tuple(z.shape)}")
        return z.to(next(self.parameters()).dtype)
