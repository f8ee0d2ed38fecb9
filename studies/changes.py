"""Variants that are no option of the program: each function changes it, for the process that calls it.

A variant that lost is kept here, so that its row can be measured again, and nowhere else.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pie_cli import pie, training
from pie_cli.autoencoder import Autoencoder
from pie_cli.baselines import BaselineConfig, WAEConfig
from pie_cli.configuration import TrainingConfig
from pie_cli.data import load_dataset
from pie_cli.runs import Run


def _set(owner: Any, **changes: Any) -> None:
    """Replace attributes of a module or class of the program."""
    for name, value in changes.items():
        setattr(owner, name, value)


def equal_widths() -> None:
    """All linear blocks have networks of the same size."""
    _set(pie.PIEConfig, dense_size=lambda self, before, after: (self.dense_width, self.dense_depth))


def _last_block(size: Callable[[pie.PIEConfig], tuple[int, int]]) -> None:
    plain = pie.PIEConfig.dense_size

    def dense_size(config: pie.PIEConfig, before: int, after: int) -> tuple[int, int]:
        return size(config) if before == after else plain(config, before, after)

    _set(pie.PIEConfig, dense_size=dense_size)


def large_last_block() -> None:
    """The last block's networks are as large as those of the block before it."""
    _last_block(lambda config: (config.dense_width, config.dense_depth))


def last_block_16() -> None:
    """The last block's networks have 16 features."""
    _last_block(lambda config: (16, 1))


def last_block_64() -> None:
    """The last block's networks have 64 features."""
    _last_block(lambda config: (64, 1))


def small_couplings() -> None:
    """The networks of s and b are half as wide as g's."""
    plain = pie.AffineCoupling

    def coupling(features: int, network: Any, scale: Any) -> nn.Module:
        return plain(features, partial(network, width=network.keywords["width"] // 2), scale)

    _set(pie, AffineCoupling=coupling)


class _Residual(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.layer(x))


def residual() -> None:
    """Hidden layers of the dense networks add to their input."""
    plain = pie.dense_network

    def network(inputs: int, outputs: int, width: int, depth: int) -> nn.Module:
        layers = list(plain(inputs, outputs, width, depth).children())
        first, hidden, last = layers[:2], layers[2:-1:2], layers[-1]
        return nn.Sequential(*first, *(_Residual(layer) for layer in hidden), last)  # type: ignore[arg-type]

    _set(pie, dense_network=network)


def silu() -> None:
    """SiLU in the place of ReLU in all networks."""

    def changed(plain: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        def network(*arguments: Any, **named: Any) -> nn.Module:
            layers = plain(*arguments, **named).children()
            return nn.Sequential(*(nn.SiLU() if isinstance(layer, nn.ReLU) else layer for layer in layers))

        return network

    _set(pie, dense_network=changed(pie.dense_network), conv_network=changed(pie.conv_network))


def cosine() -> None:
    """A cosine schedule with a warm-up of 2 %, and a constant β₁, in the place of the one-cycle, which moves both."""

    class Cosine(LambdaLR):
        def __init__(self, optimizer: Optimizer, max_lr: float, total_steps: int) -> None:
            self.total_steps, warm_up = total_steps, max(1, total_steps // 50)
            super().__init__(
                optimizer,
                lambda step: min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / total_steps)),
            )

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.__dict__.update(state_dict)  # the formula is no state

    _set(training, OneCycleLR=Cosine)


def _module(average: AveragedModel) -> Any:
    return average.module


def _average(decay: float) -> None:
    """Validation and the final weights are an exponential moving average; it starts anew on resuming."""
    advance, validate, save_weights = training.TrainingState.advance, training.validate, Run.save_weights
    averages: dict[int, AveragedModel] = {}

    def averaged(model: Autoencoder) -> AveragedModel:
        if id(model) not in averages:
            averages[id(model)] = AveragedModel(copy.deepcopy(model), multi_avg_fn=get_ema_multi_avg_fn(decay))
        return averages[id(model)]

    def advance_both(state: training.TrainingState, loss: Tensor) -> None:
        advance(state, loss)
        averaged(state.model).update_parameters(state.model)

    def validate_average(model: Autoencoder, *arguments: Any) -> dict[str, float]:
        return validate(_module(averaged(model)), *arguments)

    def save_average(run: Run, model: Autoencoder) -> None:
        save_weights(run, _module(averaged(model)))

    _set(training.TrainingState, advance=advance_both)
    _set(training, validate=validate_average)
    _set(Run, save_weights=save_average)


def average_100() -> None:
    """The weights are averaged over some 100 steps."""
    _average(0.99)


def average_500() -> None:
    """The weights are averaged over some 500 steps."""
    _average(0.998)


def spectral_norm() -> None:
    """Hidden layers of the networks of s and b have spectral norm 1, a kernel as a matrix; g's are free."""
    plain = pie.AffineCoupling

    def coupling(features: int, network: Callable[[int, int], nn.Module], scale: Any) -> nn.Module:
        def bounded(inputs: int, outputs: int) -> nn.Module:
            layers = list(network(inputs, outputs).children())
            weighted = [layer for layer in layers[:-1] if isinstance(layer, nn.Linear | nn.Conv2d)]
            for layer in weighted:
                if min(layer.weight.shape[:2]) > 0:
                    nn.utils.parametrizations.spectral_norm(layer)
            return nn.Sequential(*layers)

        return plain(features, bounded, scale)

    _set(pie, AffineCoupling=coupling)


def _configured(config: type[BaselineConfig], **values: Any) -> None:
    plain = config.__post_init__

    def changed(self: BaselineConfig) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)  # it is frozen
        plain(self)

    _set(config, __post_init__=changed)


def wae_200() -> None:
    """WAE's λ is 200, what its authors' code amounts to."""
    _configured(WAEConfig, mmd_weight=200.0)


def wide_baselines() -> None:
    """The convolutions of VAE and WAE have twice as many channels."""
    _configured(BaselineConfig, width=2 * BaselineConfig.width)


def isometry() -> None:
    """The loss also has the squared logarithm of how much F stretches a small step in the direction of noise."""
    plain = pie.PIE.loss

    def loss(self: pie.PIE, x: Tensor, eps2: Tensor | None = None) -> dict[str, Tensor]:
        terms = plain(self, x, eps2)
        step = 0.05 * torch.randn_like(x)
        ends = [torch.cat([z, *residuals], 1) for z, residuals, _ in (self(x), self(x + step))]
        stretch = (ends[1] - ends[0]).square().sum(1) / (2 * step).flatten(1).square().sum(1)
        return {**terms, "loss": terms["loss"] + 0.1 * stretch.log().square().mean()}

    _set(pie.PIE, loss=loss)


def _noise_outside(factor: float) -> None:
    """The noise has `factor` times its variance outside the images' 64 leading principal axes."""
    plain = training.training_batch
    pixels = load_dataset("mnist", offline=True).train.images.float().flatten(1)
    axes = torch.linalg.eigh(pixels.T.cov())[1][:, -64:]

    def batch(images: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0) -> Tensor:
        x = plain(images, replace(config, noise=0.0), generator)
        noise = torch.randn(len(x), len(axes), generator=generator)
        inside = noise @ axes @ axes.T
        noise = inside + math.sqrt(factor) * (noise - inside)
        return x + math.sqrt(config.noise * noise_factor) / 2 * noise.view_as(x)

    _set(training, training_batch=batch)


def noise_4_outside() -> None:
    """The noise has four times its variance where images hardly vary."""
    _noise_outside(4.0)


def noise_16_outside() -> None:
    """The noise has sixteen times its variance where images hardly vary."""
    _noise_outside(16.0)


def noise_64_outside() -> None:
    """The noise has 64 times its variance where images hardly vary."""
    _noise_outside(64.0)
