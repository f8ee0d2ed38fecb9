"""Variants that are not options of the program: the word "+name" stands for the change of that name.

A change takes an experiment and returns another, so several words can be combined. A variant that lost is kept only
here, so that its row can be measured again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pie_cli.config.run import TrainingConfig
from pie_cli.data.load import load_dataset
from pie_cli.models.base import Autoencoder
from pie_cli.models.bijections import Bijection, CheckerboardDownsample, Composition, VolumePreserving
from pie_cli.models.config import ModelConfig, PIEConfig
from pie_cli.models.couplings import AffineCoupling, Scaling
from pie_cli.models.networks import Network, Networks
from pie_cli.models.pie import PIE
from pie_cli.models.registry import build_model
from pie_cli.models.rotations import Householder
from pie_cli.runs.folder import Run
from pie_cli.training.batches import training_batch
from pie_cli.training.loop import Parts


@dataclass(frozen=True)
class Experiment:
    """What a variant trains.

    Arguments:
        run: its folder and configuration.
        parts: what its training is put together from.
        pie: the class of a PIE.
        networks: the classes that make a PIE's networks; each may use those after it.
    """

    run: Run
    parts: Parts = field(default_factory=Parts)
    pie: type[PIE] = PIE
    networks: tuple[type[Networks], ...] = ()

    def build(self, config: ModelConfig) -> Autoencoder:
        """Return a fresh model."""
        if not isinstance(config, PIEConfig):
            return build_model(config)
        return self.pie(config, type("Networks", (*self.networks, Networks), {})(config))


Change = Callable[[Experiment], Experiment]


def _networks(kind: type[Networks]) -> Change:
    return lambda experiment: replace(experiment, networks=(kind, *experiment.networks))


def _last_block(width: int | None = None, depth: int | None = None) -> Change:
    """Give the networks of the last block another size; without numbers, that of the block before it."""

    class LastBlock(Networks):
        def dense_size(self, before: int, after: int) -> tuple[int, int]:
            if before > after:
                return super().dense_size(before, after)
            return width or self.config.dense_width, depth or self.config.dense_depth

    return _networks(LastBlock)


large_last_block = _last_block()
last_block_16 = _last_block(16, 1)
last_block_64 = _last_block(64, 1)


class _SmallCouplings(Networks):
    """The networks of s and b are half as wide as g's."""

    def coupling(self, shape: tuple[int, ...], kept: int) -> Network:
        network: Callable[..., nn.Module] = super().coupling(shape, kept)
        width = self.config.conv_width if len(shape) == 3 else self.dense_size(shape[0], kept)[0]
        return partial(network, width=width // 2)


small_couplings = _networks(_SmallCouplings)


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


residual = _networks(_Residual)


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


silu = _networks(_SiLU)


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


spectral_norm = _networks(_SpectralNorm)


def _parts(**changed: Any) -> Change:
    return lambda experiment: replace(experiment, parts=replace(experiment.parts, **changed))


def _cosine(optimizer: Optimizer, peak: float, steps: int, last: int) -> LambdaLR:
    """A cosine schedule with a warm-up of 2 % and a constant β₁, instead of the one-cycle, which changes β₁ too."""

    def share(step: int) -> float:
        return min(1.0, (step + 1) / max(1, steps // 50)) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return LambdaLR(optimizer, share, last)  # of the optimizer's learning rate, which is the peak


def _average(decay: float) -> Change:
    """Validation and the final weights are an exponential moving average."""
    return _parts(average=partial(AveragedModel, multi_avg_fn=get_ema_multi_avg_fn(decay)))


cosine = _parts(schedule=_cosine)
average_100 = _average(0.99)  # over about 100 steps
average_500 = _average(0.998)


class _Isometric(PIE):
    """The loss also has the squared logarithm of how much F stretches a small random step."""

    def loss(self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None) -> Tensor:
        return self.loss_terms(x, eps2, reconstruction)["loss"]

    def loss_terms(
        self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None
    ) -> dict[str, Tensor]:
        terms = super().loss_terms(x, eps2, reconstruction)
        step = 0.05 * torch.randn_like(x)
        ends = [torch.cat([z, *residuals], 1) for z, residuals, _ in (self(x), self(x + step))]
        stretch = (ends[1] - ends[0]).square().sum(1) / (2 * step).flatten(1).square().sum(1)
        return {**terms, "loss": terms["loss"] + 0.1 * stretch.log().square().mean()}


def isometry(experiment: Experiment) -> Experiment:
    return replace(experiment, pie=_Isometric)


def _model(change: Callable[[PIE], object]) -> Change:
    """A fresh PIE is changed."""

    class Changed(PIE):
        def __init__(self, config: PIEConfig, networks: Networks | None = None) -> None:
            super().__init__(config, networks)
            change(self)

    return lambda experiment: replace(experiment, pie=Changed)


def _scale(scaling: Scaling) -> Change:
    """Affine couplings have another scale."""

    def change(model: PIE) -> None:
        for coupling in model.modules():
            if isinstance(coupling, AffineCoupling):
                coupling.scale = scaling

    return _model(change)


scale_tanh = _scale(lambda t: torch.exp(torch.tanh(t)))
scale_2_tanh = _scale(lambda t: torch.exp(2 * torch.tanh(t)))
scale_exp = _scale(torch.exp)


class _Logit(Bijection):
    """x ↦ logit(α + (1 − 2α)·x), α = 0.05: the pixels as RealNVP takes them (Dinh et al. 2016, section 4.1)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = 0.05 + 0.9 * x
        return torch.logit(p), (math.log(0.9) - torch.log(p * (1 - p))).flatten(1).sum(1)

    def map(self, x: Tensor) -> Tensor:
        return torch.logit(0.05 + 0.9 * x)

    def inverse(self, y: Tensor) -> Tensor:
        return (torch.sigmoid(y) - 0.05) / 0.9


# ε₀² is measured in the range [0, 1].
unit_range = _model(lambda model: setattr(model, "scaling", Composition()))
logits = _model(lambda model: setattr(model, "scaling", _Logit()))


class _Quarters(VolumePreserving):
    """The four quarters of an image become channels, where a checkerboard takes every second pixel."""

    def map(self, x: Tensor) -> Tensor:
        return torch.cat([half for rows in x.chunk(2, 2) for half in rows.chunk(2, 3)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        upper, lower = (torch.cat(rows.chunk(2, 1), 3) for rows in y.chunk(2, 1))
        return torch.cat([upper, lower], 2)


def _quarters(model: PIE) -> None:
    for block in model.blocks:
        for place, bijection in enumerate(block.bijections):
            if isinstance(bijection, CheckerboardDownsample):
                block.bijections[place] = _Quarters()  # type: ignore[index]  # of a ModuleList


quarters = _model(_quarters)


class _Nested(nn.Module):
    """The k-th reflection has its first k − 1 entries zero: reflections of n, n − 1, n − 2 features."""

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.triu()


def _nested(model: PIE) -> None:
    for rotation in model.modules():
        if isinstance(rotation, Householder):
            nn.utils.parametrize.register_parametrization(rotation, "vectors", _Nested())


nested_reflections = _model(_nested)


def _constant(optimizer: Optimizer, peak: float, steps: int, last: int) -> LambdaLR:
    """A constant learning rate, and Adam's own β₁."""
    return LambdaLR(optimizer, lambda step: 1.0, last)


constant_rate = _parts(schedule=_constant)


def _noise_outside(factor: float) -> Change:
    """The noise has `factor` times its variance outside the images' 64 leading principal axes."""

    def change(experiment: Experiment) -> Experiment:
        pixels = load_dataset("mnist", offline=True).train.images.float().flatten(1)
        axes = torch.linalg.eigh(pixels.T.cov())[1][:, -64:]

        def treat(x: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0) -> Tensor:
            x = training_batch(x, replace(config, noise=0.0), generator)
            noise = torch.randn(len(x), len(axes), generator=generator)
            inside = noise @ axes @ axes.T
            noise = inside + math.sqrt(factor) * (noise - inside)
            return x + math.sqrt((config.noise or 0.0) * noise_factor) / 2 * noise.view_as(x)

        return _parts(treat=treat)(experiment)

    return change


noise_4_outside = _noise_outside(4.0)
noise_16_outside = _noise_outside(16.0)
noise_64_outside = _noise_outside(64.0)
