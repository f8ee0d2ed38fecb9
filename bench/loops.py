"""Whole training loops: the VAE of `pie_cli.models.baselines` in this project's loop and in pythae's trainer.

The layers, the Bernoulli likelihood, the batch and fused Adam are the same. Each loop is used unchanged: ours indexes
uint8 images, divides them by 255, bounds the gradient, follows a schedule and checks that everything is finite;
pythae's has float images in a DataLoader and does none of the rest.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE as PythaeVAE
from pythae.models import VAEConfig as PythaeVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor

from bench.measure import Spread
from pie_cli import VAE, VAEConfig
from pie_cli.config.naming import run_config
from pie_cli.config.run import TrainingConfig
from pie_cli.data.base import Dataset, ImageSet
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution
from pie_cli.training.display import Display
from pie_cli.training.loop import train

STEPS = 21  # of a run: twenty times from one step to the next


class Clock(TrainingCallback, Display):
    """Notes when each step ends: a callback for pythae, a display for this project's loop."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_step_end(self, training_config: BaseTrainerConfig, **_: Any) -> None:
        self.times.append(time.perf_counter())

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        pass

    def step(self, step: int, loss: Tensor) -> None:
        self.times.append(time.perf_counter())

    def epoch(self, row: Mapping[str, float]) -> None:
        pass

    @property
    def seconds(self) -> float:
        """Median time from one step's end to the next one's."""
        return median(end - start for start, end in zip(self.times[:-1], self.times[1:], strict=True))


class _Encoder(BaseEncoder):
    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.layers = vae.encoder

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class _Decoder(BaseDecoder):
    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.layers = vae.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


def vae_steps(repeats: int, device: torch.device) -> dict[str, Spread]:
    """Return the seconds of a step in each loop; the loops take turns, and a first round only warms the process up."""
    config = run_config("vae", epochs=1)
    count = STEPS * config.resolved.batch_size
    images = torch.randint(256, (count, *VAEConfig().image_shape), dtype=torch.uint8)
    labels = torch.zeros(count, dtype=torch.int64)
    times: dict[str, list[float]] = {"pie": [], "pythae": []}
    deterministic = torch.are_deterministic_algorithms_enabled()
    for _ in range(repeats + 1):
        with tempfile.TemporaryDirectory() as name, _silence():
            times["pie"].append(step_seconds(Run(Path(name) / "run", config), ImageSet(images, labels), device))
            torch.use_deterministic_algorithms(deterministic)  # only our loop wants them, so only it pays for them
            times["pythae"].append(_pythae(Path(name), images.float() / 255, labels, config.resolved, device))
    return {name: Spread(tuple(values[1:])) for name, values in times.items()}


def step_seconds(run: Run, images: ImageSet, device: torch.device) -> float:
    """Return the median seconds of a step of this project's loop, over one epoch of these images."""
    few = images[: run.config.resolved.batch_size]
    clock = Clock()
    train(run, Dataset("mnist", "random", images, few, few, ()), Execution(device.type), clock)
    return clock.seconds


def _pythae(folder: Path, images: Tensor, labels: Tensor, training: TrainingConfig, device: torch.device) -> float:
    layers = VAE(VAEConfig())
    config = PythaeVAEConfig(input_dim=layers.image_shape, latent_dim=layers.latent_dim, reconstruction_loss="bce")
    options = BaseTrainerConfig(
        output_dir=str(folder),
        num_epochs=1,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.lr,
        optimizer_params={"fused": True},
        no_cuda=device.type != "cuda",
    )
    model = PythaeVAE(config, encoder=_Encoder(layers), decoder=_Decoder(layers))
    clock = Clock()
    BaseTrainer(model, BaseDataset(images, labels), training_config=options, callbacks=[clock]).train()
    return clock.seconds


@contextlib.contextmanager
def _silence() -> Any:
    """Keep pythae's log and bars off the terminal."""
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
