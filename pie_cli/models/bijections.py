"""Bijections (paper section 3.3 and 4): the map, the map with its log|det J|, and the exact inverse.

The couplings are in `couplings`, the rotations in `rotations`; here is what joins them, and the rest of section 4.

Tensors are (B, C, H, W) images or (B, D) vectors; every bijection treats dimension 1 as the features, so that the
convolutional and the linear pieces of the paper are the same few lines.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_cli.models.recompute import Recomputed, recomputed


class Bijection(nn.Module, ABC):
    """An invertible map y = f(x) with a tractable log|det ∂f/∂x|.

    x is (B, C, H, W) or (B, D). The map may change this shape, but not the number of variables.
    """

    preserves_volume = False  # True: log|det J| = 0 everywhere, which a composition need not add

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(f(x), log_abs_det_jacobian)``; the second has shape (B,), in nats, of float32 at least."""

    @abstractmethod
    def map(self, x: Tensor) -> Tensor:
        """Return f(x) alone."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Return f⁻¹(y), of the shape of x, exact to float precision."""


def full_precision(x: Tensor) -> torch.autocast:
    """Under autocast only the networks of s, b and g leave float32: what is inverted, or enters the likelihood, stays.

    Autocast touches products and convolutions, which rotations have, and joined tensors, which must be of one type.
    """
    return torch.autocast(x.device.type, enabled=False)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Return [first, second], two groups of features, joined along dimension 1."""
    with full_precision(first):
        return torch.cat([first, second], dim=1)


def constant_log_det(x: Tensor, value: float) -> Tensor:
    """Return the log-determinant `value` for each of a batch, shape (B,), in nats, of float32 at least."""
    return x.new_full((x.shape[0],), value, dtype=torch.promote_types(x.dtype, torch.float32))


class VolumePreserving(Bijection):
    """A bijection with log|det J| = 0: subclasses give the map and its inverse."""

    preserves_volume = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.map(x), constant_log_det(x, 0.0)


class Composition(Bijection):
    """F = F_K ∘ … ∘ F_1 (Eq. 14), given from F_1 on; the log-determinants add up.

    Example:
        >>> f = Composition(SymmetricRange(), CheckerboardDownsample())
        >>> x = torch.rand(5, 1, 28, 28)
        >>> y, log_det = f(x)
        >>> y.shape, log_det.shape
        (torch.Size([5, 4, 14, 14]), torch.Size([5]))
        >>> torch.allclose(f.inverse(y), x, atol=1e-6)
        True
    """

    bijections: Sequence[Bijection]

    def __init__(self, *bijections: Bijection) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)  # type: ignore[assignment]  # ModuleList is not generic
        self.preserves_volume = all(bijection.preserves_volume for bijection in bijections)
        self.recompute = False  # True: keep no activations for the backward pass, but compute them again from x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.recompute and torch.is_grad_enabled():
            return recomputed(Recomputed(self.bijections), x)
        return self.compose(self.bijections, x)

    @staticmethod
    def compose(bijections: Sequence[Bijection], x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(F_K ∘ … ∘ F_1 (x), log_abs_det_jacobian)``; the second has shape (B,), in nats."""
        log_det = constant_log_det(x, 0.0)
        for bijection in bijections:
            if bijection.preserves_volume:
                x = bijection.map(x)
            else:
                x, term = bijection(x)
                log_det = log_det + term
        return x, log_det

    def map(self, x: Tensor) -> Tensor:
        for bijection in self.bijections:
            x = bijection.map(x)
        return x

    def inverse(self, y: Tensor) -> Tensor:
        for bijection in reversed(self.bijections):
            y = bijection.inverse(y)
        return y


class SymmetricRange(Bijection):
    """x ↦ 2x − 1: images in [0, 1] to the range [−1, 1] in which ε₀² is measured; log|det J| = D log 2.

    Example:
        >>> SymmetricRange()(torch.zeros(1, 2))
        (tensor([[-1., -1.]]), tensor([1.3863]))
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.map(x), constant_log_det(x, math.log(2) * x[0].numel())

    def map(self, x: Tensor) -> Tensor:
        return 2 * x - 1

    def inverse(self, y: Tensor) -> Tensor:
        return (y + 1) / 2


class CheckerboardDownsample(VolumePreserving):
    """(B, C, H, W) → (B, 4C, H/2, W/2) by a checkerboard pattern (section 4.4): a permutation. H and W must be even.

    Example:
        >>> CheckerboardDownsample().map(torch.arange(4.0).reshape(1, 1, 2, 2)).flatten()
        tensor([0., 1., 2., 3.])
    """

    def map(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, 2)

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y, 2)


class Flatten(VolumePreserving):
    """(B, C, H, W) → (B, C·H·W), between the convolutional and the linear blocks; `shape` is (C, H, W).

    Example:
        >>> Flatten((8, 7, 7)).map(torch.rand(5, 8, 7, 7)).shape
        torch.Size([5, 392])
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def map(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def inverse(self, y: Tensor) -> Tensor:
        return y.unflatten(1, self.shape)


class Split(VolumePreserving):
    """[z, r] ↦ [z, r − g(z)] (section 4.5, Eq. 20): what lies on the manifold r = g(z) gets a zero deviation.

    A bijection like the others: the deviation is what the likelihood compares with N(0, ε₀²I), and leaving it out of
    the inverse is the restriction-extension of Eq. 4. `part` and `unite` do the same without joining the two.

    The first `kept` features make up z; `g` predicts r from it, None stands for g = 0 (section 3.4).

    Example:
        >>> split = Split(kept=2, g=nn.Linear(2, 3))
        >>> x = torch.rand(5, 5)
        >>> z, deviation = split.part(x)
        >>> torch.allclose(split.unite(z, deviation), x)
        True
        >>> torch.equal(split.unite(z, None)[:, 2:], split.g(z))
        True
    """

    def __init__(self, kept: int, g: nn.Module | None) -> None:
        super().__init__()
        self.kept, self.g = kept, g

    def z_r(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features z that go on, and the rest."""
        return x[:, : self.kept], x[:, self.kept :]

    def part(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(z, r − g(z))``."""
        z, r = self.z_r(x)
        return z, r if self.g is None else r - self.g(z).to(r.dtype)

    def unite(self, z: Tensor, deviation: Tensor | None) -> Tensor:
        """Return [z, g(z) + deviation]; without a deviation [z, g(z)] (Eq. 20), which needs a g."""
        if self.g is None:
            assert deviation is not None
            return joined(z, deviation)
        r = self.g(z).to(z.dtype, memory_format=torch.contiguous_format)
        return joined(z, r if deviation is None else r + deviation)

    def map(self, x: Tensor) -> Tensor:
        return joined(*self.part(x))

    def inverse(self, y: Tensor) -> Tensor:
        return self.unite(*self.z_r(y))
