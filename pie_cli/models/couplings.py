"""Coupling layers (paper section 4.2, Fig. 5): each of two groups of features is transformed given the other."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pie_cli.models.bijections import Bijection, VolumePreserving, joined
from pie_cli.models.densities import at_least_float32
from pie_cli.models.networks import Network

Scaling = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ContractiveScale:
    """t ↦ s = 1 − a + a·sigmoid(t + 2), which lies in (1 − a, 1): it can contract, by a bounded factor.

    With freely affine couplings ε₀² drops out of the likelihood, and stretching the empty background up to ε₀² earns
    more nats than encoding the digits; a PIE learns only if no coupling is rewarded for expanding.

    Example:
        >>> ContractiveScale(0.5)(torch.tensor([-20.0, 0.0, 20.0]))
        tensor([0.5000, 0.9404, 1.0000])
    """

    a: float

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - self.a + self.a * torch.sigmoid(t + 2)


def affine_scale(t: Tensor) -> Tensor:
    """Return s = exp(½·tanh t), free to expand and to contract: the paper's couplings (see `ContractiveScale`).

    Example:
        >>> affine_scale(torch.tensor([-20.0, 0.0, 20.0]))
        tensor([0.6065, 1.0000, 1.6487])
    """
    return torch.exp(0.5 * torch.tanh(t))


class Coupling(Bijection):
    """Two groups of features x₁, x₂, each transformed by networks of the other (Fig. 5).

    Of D features x₁ has ⌊D/2⌋ and x₂ the rest. `network` makes what transforms one group from the other, with so many
    outputs for each feature that it transforms. x and y are (B, D) or (B, D, H, W).
    """

    def __init__(self, features: int, network: Network, outputs: int) -> None:
        super().__init__()
        self.sizes = (features // 2, features - features // 2)
        self.net1 = network(self.sizes[1], outputs * self.sizes[0])
        self.net2 = network(self.sizes[0], outputs * self.sizes[1])

    def _output(self, net: nn.Module, condition: Tensor) -> Tensor:
        # Convolutions are fastest with the channels last in memory, taking parts of them with the channels first.
        output: Tensor = net(condition)
        return output.to(condition.dtype, memory_format=torch.contiguous_format)

    @abstractmethod
    def leading(self, x: Tensor) -> Tensor:
        """Return y₁ alone: all that z needs where it lies in the first group."""


class AdditiveCoupling(Coupling, VolumePreserving):
    """y₁ = x₁ + b₁(x₂), y₂ = x₂ + b₂(y₁): Eq. 18 with s = 1; the networks give b alone.

    Example:
        >>> coupling = AdditiveCoupling(5, nn.Linear)
        >>> x = torch.rand(7, 5)
        >>> y, log_det = coupling(x)
        >>> torch.allclose(coupling.inverse(y), x, atol=1e-6), log_det.abs().max().item()
        (True, 0.0)
    """

    def __init__(self, features: int, network: Network) -> None:
        super().__init__(features, network, outputs=1)

    def map(self, x: Tensor) -> Tensor:
        x1, x2 = x.split(self.sizes, dim=1)
        y1 = x1 + self._output(self.net1, x2)
        y2 = x2 + self._output(self.net2, y1)
        return joined(y1, y2)

    def leading(self, x: Tensor) -> Tensor:
        x1, x2 = x.split(self.sizes, dim=1)
        return x1 + self._output(self.net1, x2)

    def inverse(self, y: Tensor) -> Tensor:
        y1, y2 = y.split(self.sizes, dim=1)
        x2 = y2 - self._output(self.net2, y1)
        x1 = y1 - self._output(self.net1, x2)
        return joined(x1, x2)


class AffineCoupling(Coupling):
    """y₁ = s₁(x₂)⊙x₁ + b₁(x₂), y₂ = s₂(y₁)⊙x₂ + b₂(y₁): both groups are transformed (Eq. 18, Fig. 5).

    One network gives s and b together; `scale` maps its raw output to s > 0, elementwise; log|det J| is the sum of all
    log s (section 4.2).

    Example:
        >>> coupling = AffineCoupling(5, nn.Linear, ContractiveScale(0.5))
        >>> x = torch.rand(7, 5)
        >>> y, log_det = coupling(x)
        >>> torch.allclose(coupling.inverse(y), x, atol=1e-6), bool((log_det < 0).all())
        (True, True)
    """

    def __init__(self, features: int, network: Network, scale: Scaling) -> None:
        super().__init__(features, network, outputs=2)
        self.scale = scale

    def _s_b(self, net: nn.Module, condition: Tensor) -> tuple[Tensor, Tensor]:
        t, b = self._output(net, condition).chunk(2, dim=1)
        return self.scale(t), b

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, s1, s2 = self._transform(x)
        return y, at_least_float32(s1).log().flatten(1).sum(1) + at_least_float32(s2).log().flatten(1).sum(1)

    def map(self, x: Tensor) -> Tensor:
        return self._transform(x)[0]

    def leading(self, x: Tensor) -> Tensor:
        x1, x2 = x.split(self.sizes, dim=1)
        s1, b1 = self._s_b(self.net1, x2)
        return s1 * x1 + b1

    def _transform(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x1, x2 = x.split(self.sizes, dim=1)
        s1, b1 = self._s_b(self.net1, x2)
        y1 = s1 * x1 + b1
        s2, b2 = self._s_b(self.net2, y1)
        y2 = s2 * x2 + b2
        return joined(y1, y2), s1, s2

    def inverse(self, y: Tensor) -> Tensor:
        y1, y2 = y.split(self.sizes, dim=1)
        s2, b2 = self._s_b(self.net2, y1)
        x2 = (y2 - b2) / s2
        s1, b1 = self._s_b(self.net1, x2)
        x1 = (y1 - b1) / s1
        return joined(x1, x2)
