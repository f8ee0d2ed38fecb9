"""The Gaussian density of Eq. 12 and 17, and the likelihood in the unit in which other models report it."""

import math
from typing import TypeVar

import torch
from torch import Tensor

N = TypeVar("N", float, Tensor)


def bits_per_dim(nll: N, size: int) -> N:
    """Return bits per pixel value from −log p(x) in nats of dequantised images of that size with 256 grey levels.

    Example:
        >>> bits_per_dim(0.0, 784)  # uniform over [0, 1]: every grey level is as likely
        8.0
    """
    return nll / (math.log(2) * size) + 8


def at_least_float32(x: Tensor) -> Tensor:
    """Return x, in float32 where its type is a shorter one: sums over all pixels need the range and the digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gaussian_log_prob(x: Tensor, variance: float | Tensor) -> Tensor:
    """Return log N(x | 0, variance·I) (Eq. 12) for each row of x (B, D), shape (B,), in nats, of float32 at least.

    Example:
        >>> gaussian_log_prob(torch.zeros(2, 10), 0.01)
        tensor([13.8365, 13.8365])
    """
    x = at_least_float32(x)
    log_variance = variance.log() if isinstance(variance, Tensor) else math.log(variance)
    return -0.5 * (x.square().sum(1) / variance + x.shape[1] * (math.log(2 * math.pi) + log_variance))
