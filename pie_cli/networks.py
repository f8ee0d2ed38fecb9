"""The networks behind s, b (Eq. 18) and g (Eq. 20). They need not be invertible.

Their last layers start at zero, so that a fresh coupling only scales by a constant and a fresh g predicts zero. No
BatchNorm: its statistics differ between training and evaluation, and with them the likelihood.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn


def conv_network(inputs: int, outputs: int, width: int) -> nn.Module:
    """Convolutions 3×3, 1×1, 3×3 of `width` channels with ReLU, from (B, inputs, H, W) to (B, outputs, H, W)."""
    last = nn.Conv2d(width, outputs, 3, padding=1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 1),
        nn.ReLU(inplace=True),
        last,
    ).to(memory_format=torch.channels_last)


def dense_network(inputs: int, outputs: int, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width` features with ReLU, from (B, inputs) to (B, outputs)."""
    with warnings.catch_warnings():
        # Half of a single feature is no feature: such a network has only its biases.
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        layers: list[nn.Module] = [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width), nn.ReLU(inplace=True)]
        last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
