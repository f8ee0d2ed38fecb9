"""Other networks of s, b and g."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from pie_cli.models.networks import Network, Networks
from studies.changes.experiment import Change, with_networks


def _last_block(width: int | None = None, depth: int | None = None) -> Change:
    """Give the networks of the last block another size; without numbers, that of the block before it."""

    class LastBlock(Networks):
        def dense_size(self, before: int, after: int) -> tuple[int, int]:
            if before > after:
                return super().dense_size(before, after)
            return width or self.config.dense_width, depth or self.config.dense_depth

    return with_networks(LastBlock)


large_last_block = _last_block()
last_block_16 = _last_block(16, 1)
last_block_64 = _last_block(64, 1)


class _SmallCouplings(Networks):
    """The networks of s and b are half as wide as g's."""

    def coupling(self, shape: tuple[int, ...], kept: int) -> Network:
        network: Callable[..., nn.Module] = super().coupling(shape, kept)
        width = self.config.conv_width if len(shape) == 3 else self.dense_size(shape[0], kept)[0]
        return partial(network, width=width // 2)


small_couplings = with_networks(_SmallCouplings)


def _then(network: Callable[..., nn.Module], change: Callable[[nn.Module], nn.Module]) -> Network:
    """Return a function that makes a network, of a given width or its own, and changes it."""
    return lambda inputs, outputs, **sizes: change(network(inputs, outputs, **sizes))


class _Skip(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class _Residual(Networks):
    """Each hidden layer of the dense networks adds to its input."""

    def block(self, shape: tuple[int, ...], kept: int) -> Network:
        def skipping(network: nn.Module) -> nn.Module:
            first, relu, *hidden, last = network.children()
            pairs = zip(hidden[::2], hidden[1::2], strict=True)
            return nn.Sequential(first, relu, *(_Skip(*pair) for pair in pairs), last)

        network = super().block(shape, kept)
        return network if len(shape) == 3 else _then(network, skipping)


residual = with_networks(_Residual)


class _SiLU(Networks):
    """All networks have SiLU instead of ReLU."""

    def block(self, shape: tuple[int, ...], kept: int) -> Network:
        def smooth(network: nn.Module) -> nn.Module:
            for part in network.modules():
                for name, layer in part.named_children():
                    if isinstance(layer, nn.ReLU):
                        part.register_module(name, nn.SiLU())
            return network

        return _then(super().block(shape, kept), smooth)


silu = with_networks(_SiLU)


class _SpectralNorm(Networks):
    """The hidden layers of the networks s and b have spectral norm 1, with kernels taken as matrices; g's are free."""

    def coupling(self, shape: tuple[int, ...], kept: int) -> Network:
        def bounded(network: nn.Module) -> nn.Module:
            *hidden, _ = (layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
            for layer in hidden:
                if min(layer.weight.shape[:2]) > 0:
                    nn.utils.parametrizations.spectral_norm(layer)
            return network

        return _then(super().coupling(shape, kept), bounded)


spectral_norm = with_networks(_SpectralNorm)
