"""Training the network of the exact layer with floats, and rounding it to whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_cli.codec.coder import SYMBOLS, whole_frequencies
from pie_cli.codec.levels import Values, analyse, synthesise, whole_steps
from pie_cli.codec.pixels import MARGIN, PREDICTED
from pie_cli.codec.rounding import CELL
from pie_cli.codec.tables import ABSOLUTE, AROUND, CAUSAL, COMPONENT, EXACT, HIDDEN, RELATIVE, features_of
from pie_cli.models.pie import PIE

STEPS = 4_000  # of the training, shared by the channels
BATCH_VALUES = 2**15  # pixel values in a batch
RATE = 4e-3  # the highest learning rate
REPORTS = 5  # lines for the user while a network is trained
FLAT = 0.1  # the share of pixels that are trained on where all that is known is one grey level, and the pixel too
PREDICTED_ON = 8  # batches on which the linear prediction is fitted
RIDGE = 1e-4  # which keeps it small where known pixels say the same
LARGEST_COEFFICIENTS = 15.0  # the sum of their amounts, so that a prediction's sum stays below 2²⁴
LOGITS = 32  # nats to which the last layer's outputs are scaled

_BIASES = 2**20  # above every bias, in fractions of 2¹⁶; a sum has two of them at most


class FloatNetwork(nn.Module):
    """A channel's network before it is rounded; docs/FORMAT.md has its equations."""

    def __init__(self, image_shape: tuple[int, int, int], channel: int, keeps: int, generator: torch.Generator) -> None:
        super().__init__()
        _, height, width = image_shape
        count = features_of(channel)

        def normal(*shape: int, std: float) -> nn.Parameter:
            return nn.Parameter(std * torch.randn(*shape, generator=generator))

        self.known = normal(count - len(AROUND), HIDDEN, std=1.5 / count**0.5)
        self.decoded = nn.Parameter(normal(len(AROUND), HIDDEN, std=1.5 / count**0.5).detach().repeat(keeps, 1, 1))
        self.row = nn.Parameter(torch.zeros(height, HIDDEN))
        self.column = nn.Parameter(0.3 * torch.rand(HIDDEN, generator=generator).repeat(width, 1))
        self.middle = normal(HIDDEN, HIDDEN, std=1.5 / HIDDEN**0.5)
        self.middle_bias = nn.Parameter(0.3 * torch.rand(HIDDEN, generator=generator).repeat(keeps, 1))
        self.last = normal(HIDDEN, ABSOLUTE + RELATIVE, std=0.3 / HIDDEN**0.5)
        self.last_bias = nn.Parameter(torch.zeros(keeps, ABSOLUTE + RELATIVE))
        self.components = nn.Parameter(_first_components())

    def forward(self, batch: Batch) -> Tensor:
        """Return −log p of each pixel (N,), in nats."""
        keep, features = batch.keep, batch.features / 256
        first = torch.cat([self.known, self.decoded[keep]])
        hidden = _activation(features @ first + self.row[batch.rows] + self.column[batch.columns])
        hidden = _activation(hidden @ self.middle + self.middle_bias[keep])
        weights = (LOGITS * (hidden @ self.last + self.last_bias[keep])).log_softmax(1)
        components = self.components.log_softmax(1).T
        distances = (batch.pixels - batch.predictions) % SYMBOLS
        probabilities = torch.cat([components[batch.pixels, :ABSOLUTE], components[distances, ABSOLUTE:]], 1)
        return -(weights + probabilities).logsumexp(1)

    @torch.no_grad()
    def rounded(self) -> dict[str, Tensor]:
        """Return the tables of the network, all but the prediction."""
        tables, inputs = dict[str, Tensor](), len(self.known) + len(AROUND)
        for name, count in {"known": inputs, "decoded": inputs, "middle": HIDDEN, "last": HIDDEN}.items():
            largest = (EXACT - 2 * _BIASES) // (255 * count) - 1
            tables[name] = (256 * getattr(self, name)).round().clamp(-largest, largest).short()
        for name in ("row", "column", "middle_bias", "last_bias"):
            tables[name] = (2**16 * getattr(self, name)).round().clamp(-_BIASES, _BIASES).int()
        frequencies = whole_frequencies(self.components.double().softmax(1).numpy(), COMPONENT)
        return {**tables, "components": torch.from_numpy(frequencies).short()}


def _activation(sums: Tensor) -> Tensor:
    return sums.clamp(0, 255 / 256)


def _first_components() -> Tensor:
    """Return the logarithms of the components before training: spikes and bumps of grey levels, and of distances."""
    levels = torch.arange(float(SYMBOLS))
    bumps = -(levels - torch.linspace(0, SYMBOLS - 1, ABSOLUTE - 4)[:, None]).abs() / 12
    spikes = torch.full((4, SYMBOLS), -4.0)
    for spike, level in enumerate((0, SYMBOLS - 1, SYMBOLS - 2)):
        spikes[spike, level] = 6.0
    distances = torch.minimum(levels, SYMBOLS - levels)
    widths = 2.0 ** torch.arange(RELATIVE)
    return torch.cat([spikes, bumps, -distances / widths[:, None]])


class Batch:
    """Some pixels of a channel, and what predicts them.

    Arguments:
        pixels: their grey levels (N,), and `rows` and `columns` where they are.
        features: the known pixels (N, F), 0 to 255.
        weights: how many pixels each stands for (N,).
        keep: how many levels the decoded image has.
    """

    predictions: Tensor  # by the linear function of the known pixels (N,)

    def __init__(self, images: Tensor, decoded: Tensor, channel: int, keep: int, generator: torch.Generator) -> None:
        _, _, height, width = images.shape
        pixels, known = images[:, channel], _neighbours(images, channel)
        around = torch.stack([shifted(decoded[:, channel], dy, dx) for dy, dx in AROUND], -1)
        flat = (known == known[..., -1:]).all(-1) & (pixels == known[..., -1])
        chosen = ~flat | (torch.rand(flat.shape, generator=generator) < FLAT)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        self.keep, self.pixels = keep, pixels[chosen].long()
        self.features = torch.cat([known[chosen], around[chosen]], 1).float()
        self.rows, self.columns = rows.expand(flat.shape)[chosen], columns.expand(flat.shape)[chosen]
        self.weights = torch.where(flat, 1 / FLAT, 1.0)[chosen]
        self.total = flat.numel()


def shifted(images: Tensor, dy: int, dx: int) -> Tensor:
    """Return the neighbours of all pixels of images (N, H, W), zero beyond the border."""
    _, height, width = images.shape
    padded = F.pad(images, (MARGIN,) * 4)
    return padded[:, MARGIN + dy : MARGIN + dy + height, MARGIN + dx : MARGIN + dx + width]


def _neighbours(images: Tensor, channel: int) -> Tensor:
    known = [shifted(images[:, channel], dy, dx) for dy, dx in CAUSAL]
    known += [shifted(images[:, earlier], dy, dx) for earlier in range(channel) for dy, dx in AROUND]
    return torch.stack(known, -1)


def fit_networks(
    model: PIE,
    images: Tensor,
    steps: Sequence[Values],
    report: Callable[[str], object],
    training_steps: int | None,
) -> dict[str, Tensor]:
    """Return the tables of every channel's network, trained on images (N, C, H, W) of uint8 in a random order."""
    tables = dict[str, Tensor]()
    channels = model.config.image_shape[0]
    generator = torch.Generator().manual_seed(0)
    total = max(1, (STEPS if training_steps is None else training_steps) // channels)
    pairs = _Pairs(model, images, steps, generator)
    for channel in range(channels):
        network = FloatNetwork(model.config.image_shape, channel, pairs.keeps, generator)
        prediction = _fit_prediction(pairs, channel)
        report(f"training the network of channel {channel + 1} of {channels}")
        _train(network, pairs, channel, prediction, total, report)
        own = {**network.rounded(), "prediction": prediction}
        tables |= {f"pixels.{channel}.{name}": tensor for name, tensor in own.items()}
    return tables


class _Pairs:
    """Training images with what is decoded of them, from z and a random number of levels."""

    def __init__(self, model: PIE, images: Tensor, steps: Sequence[Values], generator: torch.Generator) -> None:
        self.model, self.images, self.steps, self.generator = model, images, steps, generator
        self.keeps = len(steps)
        self.size = max(1, BATCH_VALUES // prod(images.shape[1:]))

    def draw(self, channel: int, keep: int) -> Batch:
        """Return a batch of a channel's pixels."""
        chosen = torch.randint(len(self.images), (self.size,), generator=self.generator)
        images = self.images[chosen]
        values = zip(analyse(self.model, images.numpy()), self.steps, strict=True)
        kept = [whole_steps(own, step).astype(np.float32) * step for own, step in list(values)[: keep + 1]]
        decoded = synthesise(self.model, kept).clip(0, SYMBOLS - 1)
        middle = torch.from_numpy((CELL * np.floor(decoded / CELL) + CELL // 2).astype(np.uint8))
        return Batch(images, middle, channel, keep, self.generator)


def _fit_prediction(pairs: _Pairs, channel: int) -> Tensor:
    """Return the coefficients (keeps, F + 1) of a pixel's least squares prediction, in fractions of `PREDICTED`."""
    found = []
    for keep in range(pairs.keeps):
        batches = [pairs.draw(channel, keep) for _ in range(PREDICTED_ON)]
        features = torch.cat([batch.features for batch in batches]).double()
        features = torch.cat([features / 255, torch.ones(len(features), 1, dtype=torch.float64)], 1)
        weighted = features * torch.cat([batch.weights for batch in batches])[:, None]
        moments = weighted.T @ features / len(features)
        target = weighted.T @ (torch.cat([batch.pixels for batch in batches]).double() / 255) / len(features)
        solved = torch.linalg.solve(moments + RIDGE * torch.eye(len(moments), dtype=torch.float64), target)
        solved *= min(1, LARGEST_COEFFICIENTS / float(solved.abs().sum()))
        # The sum is rounded down, so half a grey level is added.
        scaled = torch.cat([PREDICTED * solved[:-1], PREDICTED * (255 * solved[-1:] + 0.5)])
        found.append(scaled.round().int())
    return torch.stack(found)


def _train(
    network: FloatNetwork,
    pairs: _Pairs,
    channel: int,
    prediction: Tensor,
    total: int,
    report: Callable[[str], object],
) -> None:
    """Train a network; `report` gets a line now and then."""
    optimizer = torch.optim.Adam(network.parameters(), RATE, betas=(0.9, 0.99))
    rising = 0.1 if total > 10 else 0.3  # OneCycleLR divides by rising · total − 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=total, pct_start=rising)
    losses = []
    for step in range(1, total + 1):
        keep = (step - 1) % pairs.keeps  # as many of each
        batch = pairs.draw(channel, keep)
        own = prediction[keep].float()
        sums = batch.features @ own[:-1] + own[-1]
        batch.predictions = (sums / PREDICTED).floor().clamp(0, SYMBOLS - 1).long()
        loss = (network(batch) * batch.weights).sum() / batch.total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % max(1, total // REPORTS) == 0:
            report(f"step {step:,} of {total:,}: {np.mean(losses) / np.log(2):.3f} bits a pixel value")
            losses.clear()
