"""What a training step sees: which images, how they are treated, and the weights of its loss."""

import math

import torch
from torch import Tensor

from pie_cli.config.run import ANNEAL_FROM, RunConfig, TrainingConfig
from pie_cli.data.base import Dataset
from pie_cli.errors import UsageError
from pie_cli.models.config import PIEConfig


def batches_per_epoch(dataset: Dataset, config: TrainingConfig) -> int:
    """Return the number of whole batches in the training images. Raises UsageError if there is none."""
    images = min(len(dataset.train), config.train_images or len(dataset.train))
    if images < config.batch_size:
        raise UsageError(f"`batch_size` {config.batch_size} exceeds the {images} training images")
    return images // config.batch_size


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits the images, from seed and epoch alone, so any step can be resumed."""
    return torch.randperm(images, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def training_batch(
    images: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0
) -> Tensor:
    """Return uint8 images (B, C, H, W) as the model sees them in training: in [0, 1], dequantised, noisy.

    The noise's variance is in units of [−1, 1], where a step of 1 in [0, 1] has length 2: hence the factor 1/2.
    """
    x = images.float()
    x = (x + torch.rand(x.shape, generator=generator, device=x.device)) / 256 if config.dequantise else x / 255
    if config.noise:
        x = x + math.sqrt(config.noise * noise_factor) / 2 * torch.randn(x.shape, generator=generator, device=x.device)
    return x


def annealing(config: RunConfig, progress: float) -> float:
    """Return the factor on ε₀² and on the noise's variance when a share `progress` of all steps is done.

    It falls exponentially from ANNEAL_FROM / ε₀² to 1, and is 1 throughout unless ε₀² is smaller than ANNEAL_FROM: of
    the paper's three values, only 0.01 is annealed.
    """
    share = config.resolved.anneal
    if not share or progress >= share or not isinstance(config.model, PIEConfig):
        return 1.0
    return max(1.0, ANNEAL_FROM / config.model.eps2) ** (1 - progress / share)


def loss_weights(config: RunConfig, progress: float, device: torch.device) -> dict[str, Tensor]:
    """Return the arguments of the loss at a point of the training, as tensors, which change without recompilation."""
    share, start = config.resolved.anneal, config.resolved.reconstruction_start
    if not (share and isinstance(config.model, PIEConfig)):
        return {}
    weights = {"eps2": torch.tensor(config.model.eps2 * annealing(config, progress), device=device)}
    if start and progress < share:
        weights["reconstruction"] = torch.tensor(start * (1 - progress / share), device=device)
    return weights
