"""The times that are compared: training steps and the floor, encoding, density, sampling and start-up."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.floor import Floor
from bench.measure import Spread, interleaved, seconds
from bench.remote import Remote
from bench.subjects import OURS, PEERS, SUBJECTS, TrainingStep, as_trained, worth_measuring
from pie_cli import PIEConfig
from pie_cli.config.naming import run_config
from pie_cli.config.run import TrainingConfig
from pie_cli.runs.folder import Run
from pie_cli.training.batches import training_batch
from pie_cli.training.loop import CHECKPOINT_STEPS
from pie_cli.training.state import TrainingState

BATCH = TrainingConfig().batch_size
STEPS = 10  # calls in a row; a repeat is their mean
SAMPLES, CHUNK = 10_000, 1_000  # images drawn, in all and at once
READ = 2_000  # images that are encoded, and whose density is computed
IMAGES = 10_000  # of the training set that batches are taken from
GRADIENTS, DATA = "pie, loss and gradients alone", "a batch's images"  # names of parts of our step
CHECKPOINT = "a checkpoint"
EPOCH_STEPS = 429  # of MNIST: 55,000 training images
FLOORS = {
    "products, float32": (torch.float32, False),
    "products and ReLU, float32": (torch.float32, True),
    "products, bfloat16": (torch.bfloat16, False),
    "products and ReLU, bfloat16": (torch.bfloat16, True),
}
IMPORTS = {
    "pie --help": ["-m", "pie_cli", "--help"],
    "import pie_cli": ["-c", "import pie_cli"],
    "from pie_cli import PIE": ["-c", "from pie_cli import PIE"],
    "import torch": ["-c", "import torch"],
    "import FrEIA": ["-c", "import FrEIA.framework, FrEIA.modules"],
    "import normflows": ["-c", "import normflows"],
    "import pythae": ["-c", "import pythae.models, pythae.trainers"],
}


@dataclass(frozen=True)
class Steps:
    """Seconds of each subject's training step and its parts, of the floors, and of each subject's first step."""

    times: dict[str, Spread]
    first: dict[str, float]


def training_steps(repeats: int, device: torch.device, threads: int | None) -> Steps:
    """Measure steps of `BATCH` images of random noise: the computation does not depend on the images."""
    names = worth_measuring(SUBJECTS, device)
    cases: dict[str, tuple[Any, ...]] = {name: (_step, name, device) for name in names}
    cases |= {GRADIENTS: (_gradients, OURS, device), DATA: (_batch_loader, device), CHECKPOINT: (_checkpoint, device)}
    floors = worth_measuring(FLOORS, device)
    cases |= {name: (Floor, PIEConfig(), BATCH, device, *FLOORS[name]) for name in floors}
    with _remotes(cases, device, threads) as remotes:
        first = {name: remotes[name].answer() for name in cases}
        times = interleaved(remotes, repeats, STEPS)
    return Steps(times, {name: first[name] for name in names})


@contextmanager
def _remotes(
    cases: Mapping[str, tuple[Any, ...]], device: torch.device, threads: int | None
) -> Iterator[dict[str, Remote]]:
    """Run each case, given as its maker and the maker's arguments, in a process of its own."""
    remotes = {
        name: Remote(name, *case, device=device, keep_memory=not name.startswith(PEERS), threads=threads)
        for name, case in cases.items()
    }
    try:
        yield remotes
    finally:
        for remote in remotes.values():
            remote.close()


def _step(name: str, device: torch.device) -> Callable[[], object]:
    """Return a checked training step of a subject."""
    config = PIEConfig()
    step = TrainingStep(SUBJECTS[name], config, torch.rand(BATCH, *config.image_shape, device=device))

    def checked() -> None:
        step()
        step.check()

    return checked


def _gradients(name: str, device: torch.device) -> Callable[[], object]:
    config = PIEConfig()
    return TrainingStep(SUBJECTS[name], config, torch.rand(BATCH, *config.image_shape, device=device)).gradients


def _batch_loader(device: torch.device) -> Callable[[], Tensor]:
    """Return a function that does what `training.loop.train` does to each batch before the model sees it."""
    config = PIEConfig()
    images = torch.randint(256, (IMAGES, *config.image_shape), dtype=torch.uint8, device=device)
    training = TrainingConfig(noise=config.eps2, dequantise=True)
    generator = torch.Generator(device).manual_seed(0)
    order = torch.randperm(len(images))
    position = 0

    def load() -> Tensor:
        nonlocal position
        position = (position + BATCH) % (len(images) - BATCH)
        return training_batch(images[order[position : position + BATCH].to(device)], training, generator)

    return load


def _checkpoint(device: torch.device) -> Callable[[], None]:
    """Return a function that writes the checkpoint of a default training after one step."""
    config = run_config()
    state = TrainingState(as_trained(PIEConfig()), config.resolved, EPOCH_STEPS, device)
    loss = state.model.loss(torch.rand(2, *PIEConfig().image_shape, device=device))
    loss.backward()
    state.optimizer.step()
    folder = tempfile.TemporaryDirectory()
    run = Run(Path(folder.name), config)

    def save(_kept: object = folder) -> None:  # the folder lives as long as the function
        state.save(run)

    return save


def throughput(repeats: int, device: torch.device, threads: int | None) -> dict[str, dict[str, Spread]]:
    """Return the seconds for `CHUNK` images by task and subject."""
    counts = {"sample": SAMPLES, "encode": READ, "log_prob": READ}
    found = {}
    for task, count in counts.items():
        names = worth_measuring((OURS, "pie, bfloat16", *PEERS), device)
        cases = {name: (_reader, name, task, device) for name in names}
        with _remotes(cases, device, threads) as remotes:
            for remote in remotes.values():
                remote.answer()
            found[task] = interleaved(remotes, repeats, count // CHUNK, 1)
    return found


def _reader(name: str, task: str, device: torch.device) -> Callable[[], object]:
    """Return a function that samples, encodes or computes the density of `CHUNK` images."""
    config = PIEConfig()
    subject = SUBJECTS[name]
    model = subject.build(config).to(device).eval()
    argument = CHUNK if task == "sample" else torch.rand(CHUNK, *config.image_shape, device=device)

    @torch.no_grad()
    def read() -> object:
        with subject.precision(device):
            return getattr(model, task)(argument)

    return read


def start_up(repeats: int) -> dict[str, Spread]:
    """Return the seconds of fresh processes that only import the package or show the help."""

    def start(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    cpu = torch.device("cpu")
    timers = {name: partial(seconds, partial(start, arguments), device=cpu) for name, arguments in IMPORTS.items()}
    return interleaved(timers, repeats, 1, 1)


def checkpoint_share(steps: Steps) -> Spread:
    """Return the share of a training's time that its checkpoints take."""
    each = 1 / CHECKPOINT_STEPS + 1 / EPOCH_STEPS  # checkpoints per step
    return steps.times[CHECKPOINT].over(steps.times[OURS]).times(each)


def data_share(steps: Steps) -> Spread:
    """Return the share of a whole step that making its batch takes."""
    pairs = zip(steps.times[DATA].values, steps.times[OURS].values, strict=True)
    return Spread(tuple(data / (data + step) for data, step in pairs))
