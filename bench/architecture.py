"""The architecture of section 5.1 as a plain list of blocks, from which every peer and the floor are built."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from pie_cli.models.config import PIEConfig
from pie_cli.models.couplings import ContractiveScale, Scaling, affine_scale
from pie_cli.models.networks import conv_network, dense_network


@dataclass(frozen=True)
class Block:
    """What the parts of one PIE block must be.

    Arguments:
        shape: of the variables in the block, (C, H, W) after the downsampling or (D,).
        kept: number of features that make up z.
        network: makes a network of s and b, or g, from its numbers of inputs and outputs; contiguous in memory,
            PyTorch's default.
        scale: maps a coupling's raw output to s; None if the couplings only shift, so that their networks give only b.
    """

    shape: tuple[int, ...]
    kept: int
    network: Callable[[int, int], nn.Module]
    scale: Scaling | None

    @property
    def convolutional(self) -> bool:
        return len(self.shape) == 3

    @property
    def features(self) -> int:
        return self.shape[0]

    @property
    def halves(self) -> tuple[int, int]:
        """Number of features in x₁ and in x₂."""
        return self.features // 2, self.features - self.features // 2

    @property
    def residual(self) -> int:
        return self.features - self.kept

    @property
    def outputs(self) -> int:
        """Number of a coupling's outputs for each feature that it transforms."""
        return 1 if self.scale is None else 2

    def networks(self, couplings: int) -> list[tuple[int, int]]:
        """Return inputs and outputs of each network in the block."""
        first, second = self.halves
        g = [(self.kept, self.residual)] if self.residual else []
        return couplings * [(second, self.outputs * first), (first, self.outputs * second)] + g


def blocks(config: PIEConfig) -> list[Block]:
    """Return the blocks of a PIE in encoding order. Raises ValueError for a model without g."""
    if not config.predict_residual:
        raise ValueError("the comparison is of models with g")
    channels, height, width = config.image_shape
    result = []
    for _ in range(config.halvings):
        height, width = height // 2, width // 2
        network = partial(_contiguous, config.conv_width)
        result.append(Block((4 * channels, height, width), 2 * channels, network, _scale(config, config.contraction)))
        channels *= 2
    for before, after in pairwise(config.sizes[config.halvings :]):
        width, depth = config.dense_size(before, after)
        network = partial(dense_network, width=width, depth=depth)
        result.append(Block((before,), after, network, _scale(config, config.linear_contraction)))
    return result


def _scale(config: PIEConfig, a: float) -> Scaling | None:
    """Return s of the couplings in a block with contraction a, as in `pie_cli.PIE`; None if they only shift."""
    if config.scale == "affine":
        return affine_scale
    return None if config.scale == "additive" or a == 0 else ContractiveScale(a)


def _contiguous(width: int, inputs: int, outputs: int) -> nn.Module:
    return conv_network(inputs, outputs, width).to(memory_format=torch.contiguous_format)


class Peer(nn.Module, ABC):
    """A PIE built from another library's parts, with those methods of `pie_cli.PIE` that are compared.

    Images are (B, C, H, W) in [0, 1]; they are scaled to [−1, 1] outside the library's flow.
    """

    def __init__(self, config: PIEConfig) -> None:
        super().__init__()
        self.config = config
        self.size = math.prod(config.image_shape)

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return ``(z, residuals, log_det)`` as `PIE.forward` does."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return z, (B, d)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Return F⁻¹([z, g(z)]), (B, C, H, W)."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) (Eq. 17), (B,), in nats."""

    def loss(self, x: Tensor) -> Tensor:
        """Return the mean −log p(x) per pixel value."""
        return -self.log_prob(x).mean() / self.size

    def sample(self, n: int) -> Tensor:
        """Return n images decoded from z ~ N(0, I)."""
        return self.decode(torch.randn(n, self.config.latent_dim, device=next(self.parameters()).device))
