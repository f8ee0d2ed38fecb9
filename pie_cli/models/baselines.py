"""The opponents: VAE and WAE of Table 1, and RAE, with one DCGAN-style encoder and decoder (Radford et al. 2015)."""

import math
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_cli.models.base import Autoencoder
from pie_cli.models.bijections import full_precision
from pie_cli.models.config import BaselineConfig, RAEConfig, VAEConfig, WAEConfig, halvings
from pie_cli.models.densities import at_least_float32, gaussian_log_prob

# Scales of the WAE authors' kernels, in units of 2dσ², the expected squared distance of two codes of the prior.
KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class _ConvAutoencoder(Autoencoder):
    """The encoder and decoder that all share. The encoder ends with z, unless a subclass says with how many features.

    After Radford et al. 2015 (https://arxiv.org/abs/1511.06434): strided 4×4 convolutions instead of pooling, batch
    norm but not on the images, LeakyReLU(0.2) down, ReLU up. Sigmoid replaces their tanh, as images lie in [0, 1].
    """

    def __init__(self, config: BaselineConfig, encoder_features: int | None = None) -> None:
        super().__init__(config.image_shape, config.latent_dim)
        self.config = config
        channels, height, width = config.image_shape
        layers = halvings(config.image_shape)
        widths = [config.width * 2**layer for layer in range(layers)]
        smallest = (widths[-1], height // 2**layers, width // 2**layers)
        features = math.prod(smallest)
        encoder: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            encoder += [convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        encoder += [nn.Flatten(), nn.Linear(features, encoder_features or config.latent_dim)]
        self.encoder = nn.Sequential(*encoder)
        decoder: list[nn.Module] = [nn.Linear(config.latent_dim, features, bias=False), nn.Unflatten(1, smallest)]
        for before, after in pairwise(reversed(widths)):
            transposed = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
            decoder += [nn.BatchNorm2d(before), nn.ReLU(), transposed]
        # Ends in logits: the cross entropy is only stable on them.
        last = nn.ConvTranspose2d(widths[0], channels, 4, stride=2, padding=1)
        self.decoder = nn.Sequential(*decoder, nn.BatchNorm2d(widths[0]), nn.ReLU(), last)
        self.apply(_start_like_dcgan)

    def encode(self, x: Tensor) -> Tensor:
        return self.features(x)

    def features(self, x: Tensor) -> Tensor:
        """Return the encoder's output (B, encoder_features). Raises ValueError for images of another shape."""
        with self._own_type():
            return self.encoder(self.as_images(x))

    def logits(self, z: Tensor) -> Tensor:
        """Return decode(z) before its sigmoid, (B, C, H, W). Raises ValueError for codes of another shape."""
        with self._own_type():
            return self.decoder(self.as_codes(z))

    def _squared_error(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the squared error of decode(z), summed over an image, as the mean over the batch."""
        return (x - self.decode(z)).square().sum() / x.shape[0]

    def _own_type(self) -> AbstractContextManager[None]:
        """Leave autocast where the weights are not in float32: batch norm refuses half of one kind and half another."""
        weight = next(self.parameters())
        return nullcontext() if weight.dtype == torch.float32 else full_precision(weight)

    def decode(self, z: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [0, 1]. Raises ValueError for codes of another shape."""
        return self.logits(z).sigmoid()


class VAE(_ConvAutoencoder):
    """Variational autoencoder with q(z | x) = N(μ(x), diag σ²(x)) (Kingma & Welling 2014).

    Source: https://arxiv.org/abs/1312.6114. `loss_terms` draws the noise of z from torch's global generator. Grey
    values under the Bernoulli likelihood make the cross entropy a useful loss but not a normalised density, so no
    likelihood follows from it.

    Example:
        >>> model = VAE(VAEConfig(latent_dim=10))
        >>> x = torch.rand(5, 1, 28, 28)
        >>> model.encode(x).shape, sorted(model.loss_terms(x))
        (torch.Size([5, 10]), ['kl', 'loss', 'reconstruction'])
    """

    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config, encoder_features=2 * config.latent_dim)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(mean, log_variance)`` of q(z | x), each (B, d). Raises ValueError for images of another shape."""
        mean, log_variance = self.features(x).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, x: Tensor) -> Tensor:
        """Return the means of q(z | x), shape (B, d). Raises ValueError for images of another shape."""
        return self.posterior(x)[0]

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return "loss", the mean negative ELBO per pixel value, and its two terms in nats per image.

        "reconstruction" is −log p(x | z), "kl" is KL(q(z | x) ‖ N(0, I)). Per pixel value, as in `PIE.loss`, so that
        one limit on the gradient's norm fits every model.
        """
        mean, log_variance = self.posterior(x)
        logits = self.logits(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))
        if self.config.pixel_likelihood == "bernoulli":
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / x.shape[0]
        else:
            reconstruction = -gaussian_log_prob((x - logits.sigmoid()).flatten(1), self.config.variance).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return {"loss": (reconstruction + kl) / x[0].numel(), "reconstruction": reconstruction, "kl": kl}


class WAE(_ConvAutoencoder):
    """Wasserstein autoencoder with a deterministic encoder and the MMD penalty (Tolstikhin et al. 2018, Algorithm 2).

    Source: https://arxiv.org/abs/1711.01558. `loss_terms` draws the prior's codes from torch's global generator.

    Example:
        >>> model = WAE(WAEConfig(latent_dim=10))
        >>> x = torch.rand(5, 1, 28, 28)
        >>> model.encode(x).shape, sorted(model.loss_terms(x))
        (torch.Size([5, 10]), ['loss', 'mmd', 'reconstruction'])
    """

    config: WAEConfig

    def __init__(self, config: WAEConfig) -> None:
        super().__init__(config)

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return "loss", the mean of (squared error + λ·MMD²) per pixel value, and its two terms.

        "reconstruction" is the squared error summed over an image, "mmd" the unbiased estimate of MMD² between the
        codes and as many of the prior's; one image says nothing about it, and "mmd" is then 0. Per pixel value, as in
        `PIE.loss`, so that one limit on the gradient's norm fits every model.
        """
        z = self.encode(x)
        reconstruction = self._squared_error(x, z)
        penalty = mmd(z, torch.randn_like(z)) if z.shape[0] > 1 else torch.zeros_like(reconstruction)
        loss = (reconstruction + self.config.mmd_weight * penalty) / x[0].numel()
        return {"loss": loss, "reconstruction": reconstruction, "mmd": penalty}


class RAE(_ConvAutoencoder):
    """Regularised autoencoder, RAE-L2 (Ghosh et al. 2020). Without penalties, a plain autoencoder.

    Source: https://arxiv.org/abs/1903.12436. It has no prior: N(0, I) is as good as its codes happen to fit, and its
    authors sample from a mixture that is fitted to the codes after training (`models.priors`).

    Example:
        >>> model = RAE(RAEConfig(latent_dim=10))
        >>> x = torch.rand(5, 1, 28, 28)
        >>> model.encode(x).shape, sorted(model.loss_terms(x))
        (torch.Size([5, 10]), ['decoder', 'latent', 'loss', 'reconstruction'])
    """

    config: RAEConfig

    def __init__(self, config: RAEConfig) -> None:
        super().__init__(config)

    def loss_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return "loss", the mean of (squared error + β·½‖z‖² + λ·‖θ‖²) per pixel value, and its three terms.

        "reconstruction" is the squared error summed over an image, "latent" is ½‖z‖², "decoder" the sum of the squared
        parameters of the decoder. Per pixel value, as in `PIE.loss`.
        """
        z = self.encode(x)
        reconstruction = self._squared_error(x, z)
        latent = 0.5 * z.square().sum(1).mean()
        decoder = torch.stack([parameter.square().sum() for parameter in self.decoder.parameters()]).sum()
        penalty = self.config.latent_weight * latent + self.config.decoder_weight * decoder
        loss = (reconstruction + penalty) / x[0].numel()
        return {"loss": loss, "reconstruction": reconstruction, "latent": latent, "decoder": decoder}


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased estimate of MMD² between the distributions of x (n, d) and y (m, d); it may be negative.

    The kernel is the sum of C / (C + ‖a − b‖²) over C = 2d·`KERNEL_SCALES` (Tolstikhin et al. 2018, section 4 and the
    authors' code, with σ² = 1 for the prior N(0, I)). Raises ValueError for fewer than two rows of x or y.

    Example:
        >>> codes = torch.randn(500, 2)
        >>> bool(mmd(codes + 1, torch.randn(500, 2)) > mmd(codes, torch.randn(500, 2)))
        True
    """
    if min(x.shape[0], y.shape[0]) < 2:
        raise ValueError(f"an unbiased MMD needs at least two codes on each side, got {x.shape[0]} and {y.shape[0]}")
    x, y = at_least_float32(x), at_least_float32(y)  # distances are not computed in shorter types
    # Matrix products would be faster but lose the small distances to cancellation.
    xx, yy, xy = (
        torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square() for a, b in ((x, x), (y, y), (x, y))
    )
    total = x.new_zeros(())
    for scale in KERNEL_SCALES:
        c = 2 * x.shape[1] * scale
        total = total - 2 * (c / (c + xy)).mean()
        for distances in (xx, yy):
            n = distances.shape[0]
            # A point's kernel with itself is 1 and has no place among the pairs.
            total = total + ((c / (c + distances)).sum() - n) / (n * (n - 1))
    return total


def _start_like_dcgan(layer: nn.Module) -> None:
    """Draw weights from N(0, 0.02²) and batch norm's scales from N(1, 0.02²), biases zero (Radford et al. 2015)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
