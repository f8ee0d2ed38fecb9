"""PIE from the parts of normflows 1.7 (https://github.com/VincentStimper/normalizing-flows).

These parts are used unchanged: MultiscaleFlow, DiagGaussian, Squeeze, Invertible1x1Conv, InvertibleAffine,
AffineCouplingBlock. In this library, a flow's `inverse` encodes. The result is as near to PIE as these parts allow, but
not the same function:

- There are no Householder reflections. Invertible1x1Conv and InvertibleAffine (the same for vectors) have a free n×n
  matrix: more parameters, a log-determinant to compute and, for sampling, a matrix to invert. They are used in the
  plain form; the LU form has twice the parameters and is no faster.
- AffineCouplingBlock transforms one half, so a coupling is two of them. Its scale "sigmoid", y = (x − b)·sigmoid(t+2),
  is the contractive one with a = 1. Where ours only shifts, it has no scale (`scale=False`, the library's additive
  coupling), and its network gives only the shift.
- MultiscaleFlow.log_prob fails if its first log-determinant is one number for all images, as that of an
  Invertible1x1Conv is; its two halves, `inverse_and_log_det` and the bases' `log_prob`, give the same.
- The library's Merge splits into halves, without g: `ResidualMerge` replaces it. It cannot flatten: `Flatten` does.
"""

from __future__ import annotations

import math

import torch
from normflows import MultiscaleFlow
from normflows.distributions import DiagGaussian
from normflows.flows import AffineCouplingBlock, Flow, Invertible1x1Conv, InvertibleAffine, Squeeze
from torch import Tensor, nn

from bench.architecture import Block, Peer, blocks
from pie_cli import PIEConfig


class ResidualMerge(Flow):
    """[z, r − g(z)] → x = [z, r], and back."""

    def __init__(self, kept: int, g: nn.Module) -> None:
        super().__init__()
        self.kept = kept
        self.g = g

    def forward(self, z: tuple[Tensor, Tensor]) -> tuple[Tensor, float]:
        return torch.cat([z[0], z[1] + self.g(z[0])], dim=1), 0.0

    def inverse(self, x: Tensor) -> tuple[list[Tensor], float]:
        z, r = x[:, : self.kept], x[:, self.kept :]
        return [z, r - self.g(z)], 0.0


class Flatten(Flow):
    """Vectors to images, and back."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor) -> tuple[Tensor, float]:
        return z.view(z.shape[0], *self.shape), 0.0

    def inverse(self, z: Tensor) -> tuple[Tensor, float]:
        return z.flatten(1), 0.0


class NormflowsPIE(Peer):
    """F⁻¹ as one MultiscaleFlow, whose levels count from z up to the image."""

    def __init__(self, config: PIEConfig) -> None:
        super().__init__(config)
        levels: list[list[Flow]] = []  # each in encoding order, reversed at the end
        merges: list[Flow] = []
        bases: list[DiagGaussian] = []
        level: list[Flow] = []
        before: tuple[int, ...] = config.image_shape
        for block in blocks(config):
            if block.convolutional:
                level.append(Squeeze())
            elif len(before) == 3:
                level.append(Flatten(before))
            for _ in range(config.couplings):
                level += _rotation_and_coupling(block)
            if block.residual:
                levels.append(level)
                level = []
                merges.append(ResidualMerge(block.kept, block.network(block.kept, block.residual)))
                bases.append(_gaussian((block.residual, *block.shape[1:]), config.eps2))
            before = (block.kept, *block.shape[1:])
        levels.append(level)
        bases.append(_gaussian((config.latent_dim,), 1.0))
        flows = [flow[::-1] for flow in reversed(levels)]
        self.flow = MultiscaleFlow(bases[::-1], flows, merges[::-1], class_cond=False)
        self.residual_shapes = [base.shape for base in self.flow.q0[1:]]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        (z, *residuals), log_det = self.flow.inverse_and_log_det(2 * x - 1)
        return z, [residual.flatten(1) for residual in reversed(residuals)], log_det + self.size * math.log(2)

    def log_prob(self, x: Tensor) -> Tensor:
        latents, log_det = self.flow.inverse_and_log_det(2 * x - 1)
        terms = (base.log_prob(latent) for base, latent in zip(self.flow.q0, latents, strict=True))
        return sum(terms) + log_det + self.size * math.log(2)

    def encode(self, x: Tensor) -> Tensor:
        return self.flow.inverse_and_log_det(2 * x - 1)[0][0]

    def decode(self, z: Tensor) -> Tensor:
        residuals = [z.new_zeros(z.shape[0], *shape) for shape in self.residual_shapes]
        return (self.flow.forward_and_log_det([z, *residuals])[0] + 1) / 2


def _rotation_and_coupling(block: Block) -> list[Flow]:
    """Return the three flows, in encoding order."""
    rotation = Invertible1x1Conv if block.convolutional else InvertibleAffine
    # If the number of features is odd, the library puts the larger half first.
    second, first = block.halves
    return [
        rotation(block.features, use_lu=False),
        _coupling(block, second, first, "channel_inv"),
        _coupling(block, first, second, "channel"),
    ]


def _coupling(block: Block, condition: int, transformed: int, split_mode: str) -> AffineCouplingBlock:
    """Return the coupling of one half, given the numbers of features in both halves."""
    network = block.network(condition, block.outputs * transformed)
    return AffineCouplingBlock(network, scale=block.scale is not None, scale_map="sigmoid", split_mode=split_mode)


def _gaussian(shape: tuple[int, ...], variance: float) -> DiagGaussian:
    base = DiagGaussian(shape, trainable=False)
    base.log_scale.fill_(0.5 * math.log(variance))
    return base
