"""The invertible pieces of a PIE (paper section 4): forward with log|det J|, and the exact inverse.

Tensors are (B, C, H, W) images or (B, D) vectors; every bijection treats dimension 1 as the features, so that the
convolutional and the linear pieces of the paper are the same few lines.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_cli.recompute import forward_without_activations


class Bijection(nn.Module, ABC):
    """An invertible map y = f(x) with a tractable log|det ∂f/∂x|."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(f(x), log_abs_det_jacobian)``; the second has shape (B,), in nats."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Return f⁻¹(y), exact to float precision."""


def _full_precision(x: Tensor) -> torch.autocast:
    """Under autocast only the networks of s, b and g leave float32: what is inverted, or enters the likelihood, stays.

    Autocast touches nothing but products and convolutions, so that rotations are the only bijections to need this.
    """
    return torch.autocast(x.device.type, enabled=False)


class VolumePreserving(Bijection):
    """A bijection with log|det J| = 0: subclasses give the map alone."""

    @abstractmethod
    def map(self, x: Tensor) -> Tensor:
        """Return f(x)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(f(x), 0)``."""
        return self.map(x), x.new_zeros(len(x))


class Composition(Bijection):
    """F = F_K ∘ … ∘ F_1 (Eq. 14); the log-determinants add up.

    Arguments:
        bijections: F_1 to F_K, in the order in which they are applied.
    """

    bijections: Sequence[Bijection]

    def __init__(self, *bijections: Bijection) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)  # type: ignore[assignment]  # ModuleList is not generic
        self.recompute = False  # True: keep no activations for the backward pass, see `recompute`

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.recompute and torch.is_grad_enabled():
            return forward_without_activations(self.bijections, x)
        log_det = x.new_zeros(len(x))
        for bijection in self.bijections:
            x, term = bijection(x)
            log_det = log_det + term
        return x, log_det

    def inverse(self, y: Tensor) -> Tensor:
        for bijection in reversed(self.bijections):
            y = bijection.inverse(y)
        return y


class SymmetricRange(Bijection):
    """x ↦ 2x − 1: images in [0, 1] to the range [−1, 1] in which ε₀² is measured; log|det J| = D log 2."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x - 1, x.new_full((len(x),), math.log(2) * x[0].numel())

    def inverse(self, y: Tensor) -> Tensor:
        return (y + 1) / 2


class CheckerboardDownsample(VolumePreserving):
    """C×H×W → 4C×H/2×W/2 by a checkerboard pattern (section 4.4): a permutation."""

    def map(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, 2)

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y, 2)


class Flatten(VolumePreserving):
    """(B, C, H, W) → (B, C·H·W), between the convolutional and the linear blocks.

    Arguments:
        shape: (C, H, W) of what comes in.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def map(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def inverse(self, y: Tensor) -> Tensor:
        return y.unflatten(1, self.shape)


def contractive_scale(a: float) -> Callable[[Tensor], Tensor]:
    """Return t ↦ s = 1 − a + a·sigmoid(t + 2), which lies in (1 − a, 1): it can contract, by a bounded factor.

    With freely affine couplings ε₀² drops out of the likelihood, and stretching the empty background up to ε₀² earns
    more nats than encoding the digits; a PIE learns only if no coupling is rewarded for expanding.
    """
    return lambda t: 1 - a + a * torch.sigmoid(t + 2)


def additive_scale(t: Tensor) -> Tensor:
    """Return s = 1: the coupling only shifts and preserves volume."""
    return torch.ones_like(t)


def affine_scale(t: Tensor) -> Tensor:
    """Return s = exp(½·tanh t), free to expand and to contract; kept for the ablation (see `contractive_scale`)."""
    return torch.exp(0.5 * torch.tanh(t))


class AffineCoupling(Bijection):
    """y₁ = s₁(x₂)⊙x₁ + b₁(x₂), y₂ = s₂(y₁)⊙x₂ + b₂(y₁): both halves are transformed (Eq. 18, Fig. 5).

    Arguments:
        features: number of features D; x₁ has ⌊D/2⌋ of them and x₂ the rest.
        network: makes the network of one half, called with its input and output sizes. One network gives s and b
            together: 2 outputs for every feature that they transform.
        scale: maps the network's raw output to s > 0, elementwise.
    """

    def __init__(
        self, features: int, network: Callable[[int, int], nn.Module], scale: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.sizes = (features // 2, features - features // 2)
        self.net1 = network(self.sizes[1], 2 * self.sizes[0])
        self.net2 = network(self.sizes[0], 2 * self.sizes[1])
        self.scale = scale

    def _s_b(self, net: nn.Module, condition: Tensor) -> tuple[Tensor, Tensor]:
        # Convolutions are fastest with the channels last in memory, taking halves of them with the channels first.
        output = net(condition).to(condition.dtype, memory_format=torch.contiguous_format)
        half = output.shape[1] // 2
        t, b = output.split([half, half], dim=1)
        return self.scale(t), b

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x1, x2 = x.split(self.sizes, dim=1)
        s1, b1 = self._s_b(self.net1, x2)
        y1 = s1 * x1 + b1
        s2, b2 = self._s_b(self.net2, y1)
        y2 = s2 * x2 + b2
        log_det = s1.log().flatten(1).sum(1) + s2.log().flatten(1).sum(1)
        return torch.cat([y1, y2], dim=1), log_det

    def inverse(self, y: Tensor) -> Tensor:
        y1, y2 = y.split(self.sizes, dim=1)
        s2, b2 = self._s_b(self.net2, y1)
        x2 = (y2 - b2) / s2
        s1, b1 = self._s_b(self.net1, x2)
        x1 = (y1 - b1) / s1
        return torch.cat([x1, x2], dim=1)


class Householder(VolumePreserving):
    """Multiply the features by an orthogonal matrix H(v_K)…H(v_1)·Q with H(v) = I − 2vvᵀ/vᵀv (Eq. 19).

    The v_k are trained. Q is a constant orthogonal matrix (so itself a product of reflections), the identity until
    `start_from` sets it. The product is orthogonal whatever the optimizer does to the v_k, and its inverse is its
    transpose.

    Arguments:
        features: number of features n; at most n reflections are useful, so no more than that are kept.
        reflections: number K of trained reflections; three in the paper (section 5.1).
    """

    start: Tensor

    def __init__(self, features: int, reflections: int = 3) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(min(reflections, features), features))
        self.register_buffer("start", torch.eye(features))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return V and W, both (K, n), with H(v_K)…H(v_1) = I − VᵀW.

        This is the compact form: the v_k are V's rows, and W = (L + ½D)⁻¹V where L + D is the lower triangle of VVᵀ.
        """
        v = self.vectors
        gram = v @ v.T
        triangle = gram.tril(-1) + 0.5 * gram.diagonal().diag()
        return v, torch.linalg.solve_triangular(triangle, v, upper=False)

    def reflections(self) -> Tensor:
        """Return H(v_K)…H(v_1), shape (n, n)."""
        v, w = self.factors()
        return torch.eye(v.shape[1], dtype=v.dtype, device=v.device) - v.T @ w

    @property
    def constant(self) -> Tensor:
        """Q, shape (n, n)."""
        q = self.start
        if q.dtype == torch.float64:
            # It was stored in float32; one Newton step makes it orthogonal to double precision.
            q = q @ (3 * torch.eye(len(q), dtype=q.dtype, device=q.device) - q.T @ q) / 2
        return q

    def matrix(self) -> Tensor:
        """Return the whole orthogonal matrix, shape (n, n)."""
        return self.reflections() @ self.constant

    def start_from(self, matrix: Tensor) -> None:
        """Set the constant Q to `matrix`, an orthogonal (n, n) matrix."""
        self.start.copy_(matrix)


class HouseholderLinear(Householder):
    """The invertible linear map of the linear blocks (section 4.3), on (B, n) vectors."""

    def map(self, x: Tensor) -> Tensor:
        with _full_precision(x):
            v, w = self.factors()
            x = F.linear(x, self.constant)
            return torch.addmm(x, x @ w.T, v, alpha=-1)

    def inverse(self, y: Tensor) -> Tensor:
        with _full_precision(y):
            v, w = self.factors()
            return F.linear(torch.addmm(y, y @ v.T, w, alpha=-1), self.constant.T)


class HouseholderConv1x1(Householder):
    """The invertible 1×1 convolution of the convolutional blocks (section 4.3), on (B, n, H, W) images."""

    def map(self, x: Tensor) -> Tensor:
        with _full_precision(x):
            return torch.einsum("ij,bjhw->bihw", self.matrix(), x)

    def inverse(self, y: Tensor) -> Tensor:
        with _full_precision(y):
            return torch.einsum("ji,bjhw->bihw", self.matrix(), y)


class Split(VolumePreserving):
    """[z, r] ↦ [z, r − g(z)] (section 4.5, Eq. 20): what lies on the manifold r = g(z) gets a zero residual.

    A bijection like the others: the residual is what the likelihood compares with N(0, ε₀²I), and setting it to zero
    before the inverse is the restriction-extension of Eq. 4.

    Arguments:
        kept: number of leading features that make up z.
        g: predicts r from z; None stands for g = 0 (section 3.4).
    """

    def __init__(self, kept: int, g: nn.Module | None) -> None:
        super().__init__()
        self.kept = kept
        self.g = g

    def map(self, x: Tensor) -> Tensor:
        if self.g is None:
            return x
        z, r = self.halves(x)
        return torch.cat([z, r - self.g(z).to(r.dtype)], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        if self.g is None:
            return y
        z, residual = self.halves(y)
        return torch.cat([z, residual + self.g(z).to(residual.dtype)], dim=1)

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features z that go on and the rest."""
        return x[:, : self.kept], x[:, self.kept :]
