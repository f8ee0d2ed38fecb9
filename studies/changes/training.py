"""Other schedules, averages of the weights, and noise."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pie_cli.config.run import TrainingConfig
from pie_cli.data.load import load_dataset
from pie_cli.models.networks import Network, Networks
from pie_cli.models.pie import PIE
from pie_cli.training.batches import training_batch
from studies.changes.experiment import Change, Experiment, with_networks, with_parts, with_pie


def _cosine(optimizer: Optimizer, peak: float, steps: int, last: int) -> LambdaLR:
    """A cosine schedule with a warm-up of 2 % and a constant β₁, instead of the one-cycle, which changes β₁ too."""

    def share(step: int) -> float:
        return min(1.0, (step + 1) / max(1, steps // 50)) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return LambdaLR(optimizer, share, last)  # of the optimizer's learning rate, which is the peak


def _average(decay: float) -> Change:
    """Validation and the final weights are an exponential moving average."""
    return with_parts(average=partial(AveragedModel, multi_avg_fn=get_ema_multi_avg_fn(decay)))


cosine = with_parts(schedule=_cosine)
average_100 = _average(0.99)  # over about 100 steps
average_500 = _average(0.998)


def _constant(optimizer: Optimizer, peak: float, steps: int, last: int) -> LambdaLR:
    """A constant learning rate, and Adam's own β₁."""
    return LambdaLR(optimizer, lambda step: 1.0, last)


constant_rate = with_parts(schedule=_constant)


def _noise_in(axes: slice, factor: float) -> Change:
    """The noise has `factor` times its variance in some of the images' principal axes, the first of which is 0."""

    def change(experiment: Experiment) -> Experiment:
        pixels = load_dataset("mnist", offline=True).train.images.float().flatten(1)
        chosen = torch.linalg.eigh(pixels.T.cov())[1].flip(1)[:, axes]

        def treat(x: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0) -> Tensor:
            x = training_batch(x, replace(config, noise=0.0), generator)
            noise = torch.randn(len(x), len(chosen), generator=generator)
            noise = noise + (math.sqrt(factor) - 1) * noise @ chosen @ chosen.T
            return x + math.sqrt((config.noise or 0.0) * noise_factor) / 2 * noise.view_as(x)

        return with_parts(treat=treat)(experiment)

    return change


noise_4_outside, noise_16_outside, noise_64_outside = (
    _noise_in(slice(64, None), factor) for factor in (4.0, 16.0, 64.0)
)
# Level 4 reduces 64 numbers to 10, and most of the loss is there.
noise_4_between, noise_16_between = (_noise_in(slice(10, 64), factor) for factor in (4.0, 16.0))


class _Level:
    """How much noise the images of a batch have, each its share in [0, 1] of the most, (B,); None stands for none."""

    shares: Tensor | None = None

    def like(self, x: Tensor) -> Tensor:
        """Return the shares as another channel of x, or another feature."""
        channel = x.new_zeros(x.shape[0], 1, *x.shape[2:])
        return channel if self.shares is None else channel + self.shares.view(-1, *[1] * (x.dim() - 1))


class _Told(nn.Module):
    """A network of an input that says how much noise there is."""

    def __init__(self, network: nn.Module, level: _Level) -> None:
        super().__init__()
        self.network, self.level = network, level

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.cat([x, self.level.like(x)], 1))


def noise_level(experiment: Experiment) -> Experiment:
    """Each image has another share of the noise's variance, and all networks are told it (SoftFlow, Kim et al. 2020).

    What is encoded, decoded or sampled has none.
    """
    level = _Level()

    class ToldNetworks(Networks):
        def block(self, shape: tuple[int, ...], kept: int) -> Network:
            network = super().block(shape, kept)
            return lambda inputs, outputs: _Told(network(inputs + 1, outputs), level)

    class ToldPIE(PIE):
        def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
            if not self.training:
                level.shares = None
            return super().forward(x)

    def treat(x: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0) -> Tensor:
        x = training_batch(x, replace(config, noise=0.0), generator)
        level.shares = torch.rand(len(x), generator=generator)
        std = math.sqrt((config.noise or 0.0) * noise_factor) / 2 * level.shares.sqrt()
        return x + std.view(-1, 1, 1, 1) * torch.randn(x.shape, generator=generator)

    return with_parts(treat=treat)(with_pie(ToldPIE)(with_networks(ToldNetworks)(experiment)))
