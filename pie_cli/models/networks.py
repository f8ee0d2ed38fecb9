"""The networks behind s, b (Eq. 18) and g (Eq. 20). They need not be invertible.

Their last layers start at zero, so that a fresh coupling only scales by a constant and a fresh g predicts zero. No
BatchNorm: its statistics differ between training and evaluation, and with them the likelihood.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from pie_cli.models.config import PIEConfig

Network = Callable[[int, int], nn.Module]  # from its numbers of inputs and outputs


def conv_network(inputs: int, outputs: int, width: int) -> nn.Module:
    """Convolutions 3×3, 1×1, 3×3 of `width` channels with ReLU, from (B, inputs, H, W) to (B, outputs, H, W).

    Example:
        >>> conv_network(2, 4, width=16)(torch.rand(5, 2, 7, 7)).shape
        torch.Size([5, 4, 7, 7])
    """
    last = _from_zero(nn.Conv2d(width, outputs, 3, padding=1))
    first, second = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 1)
    layers = nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), last)
    return layers.to(memory_format=torch.channels_last)


def dense_network(inputs: int, outputs: int, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width` features with ReLU, from (B, inputs) to (B, outputs).

    Example:
        >>> dense_network(2, 4, width=16, depth=3)(torch.rand(5, 2)).abs().max().item()  # it starts at zero
        0.0
    """
    with warnings.catch_warnings():
        # Half of a single feature is no feature: such a network has only its biases.
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        layers: list[nn.Module] = [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, _from_zero(nn.Linear(width, outputs)))


def _from_zero(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Networks:
    """The networks of a PIE, block by block; a subclass gives it others."""

    def __init__(self, config: PIEConfig) -> None:
        self.config = config

    def block(self, shape: tuple[int, ...], kept: int) -> Network:
        """Return what makes the networks of a block whose variables have a shape, (C, H, W) or (D,)."""
        if len(shape) == 3:
            return partial(conv_network, width=self.config.conv_width)
        width, depth = self.dense_size(shape[0], kept)
        return partial(dense_network, width=width, depth=depth)

    def coupling(self, shape: tuple[int, ...], kept: int) -> Network:
        """Return what makes the networks of s and b; by default they are as large as g's."""
        return self.block(shape, kept)

    def dense_size(self, before: int, after: int) -> tuple[int, int]:
        """Return width and number of the hidden layers of a linear block's networks, as the configuration has them."""
        return self.config.dense_size(before, after)
