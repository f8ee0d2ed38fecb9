"""The floor: only the networks' products, which every training step of a PIE has to compute.

For every network of s, b and g in the architecture, with its shapes, it computes the output, then the gradients of all
weights and of the input. There is nothing else: no coupling, rotation, likelihood, optimizer or sum of gradients.
Layers and inputs are stored in the type in which they compute, and in the layout that is fastest for convolutions on
CPUs (channels last).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.architecture import blocks
from pie_cli import PIEConfig


@dataclass(frozen=True)
class _Call:
    """One network, with an input and a gradient of its output."""

    network: nn.Sequential
    x: Tensor
    gradient: Tensor

    def __call__(self) -> None:
        parameters = list(self.network.parameters())
        torch.autograd.grad(self.network(self.x), [self.x, *parameters], self.gradient)


class Floor:
    """All networks' forward and backward passes, for one batch.

    Arguments:
        config: the architecture.
        batch: number of images.
        device: where to compute.
        dtype: float32, or bfloat16 throughout.
        activations: whether the ReLUs are computed too; the products have the same shapes without them.
    """

    def __init__(
        self, config: PIEConfig, batch: int, device: torch.device, dtype: torch.dtype, activations: bool
    ) -> None:
        self.calls = []
        for block in blocks(config):
            for inputs, outputs in block.networks(config.couplings):
                network = block.network(inputs, outputs)
                layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.ReLU)]
                if not activations:
                    layers = [layer for layer in layers if not isinstance(layer, nn.ReLU)]
                network = nn.Sequential(*layers).to(device, dtype)
                x = torch.randn(batch, inputs, *block.shape[1:], device=device, dtype=dtype)
                gradient = torch.randn(batch, outputs, *block.shape[1:], device=device, dtype=dtype)
                if block.convolutional:
                    network = network.to(memory_format=torch.channels_last)
                    x, gradient = (t.contiguous(memory_format=torch.channels_last) for t in (x, gradient))
                self.calls.append(_Call(network, x.requires_grad_(), gradient))

    def __call__(self) -> None:
        for call in self.calls:
            call()
