"""The times that are compared: training steps and the floor, encoding, density and sampling, starting up."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bench.allocator import set_for
from bench.floor import Floor
from bench.measure import Spread, interleaved, synchronise
from bench.subjects import OURS, PEERS, SUBJECTS, TrainingStep
from pie_cli import PIEConfig
from pie_cli.errors import PIEError
from pie_cli.runs import TrainingConfig
from pie_cli.training import training_batch

BATCH = TrainingConfig().batch_size
STEPS = 5  # calls in a row, of which a repeat is the mean
SAMPLES, CHUNK = 10_000, 1_000  # images drawn, and at a time
READ = 2_000  # images encoded, and given a density
IMAGES = 10_000  # of the training set that batches are taken from
GRADIENTS, DATA = "pie, loss and gradients alone", "a batch's images"  # names of parts of our step
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
    """Seconds of a training step of every subject, of its parts and of the floors; and of a subject's first step."""

    times: dict[str, Spread]
    first: dict[str, float]


def training_steps(repeats: int, device: torch.device) -> Steps:
    """Measure steps of `BATCH` images of random noise: what is computed does not depend on the images."""
    config = PIEConfig()
    images = torch.randint(256, (IMAGES, *config.image_shape), dtype=torch.uint8, device=device)
    load = _batch_loader(images, config, device)
    x = load()
    steps, first = {}, {}
    for name, subject in SUBJECTS.items():
        steps[name] = TrainingStep(subject, config, x)
        start = time.perf_counter()
        steps[name]()
        synchronise(device)
        first[name] = time.perf_counter() - start
    cases: dict[str, Callable[[], object]] = {**steps, GRADIENTS: steps[OURS].gradients, DATA: load}
    cases |= {name: Floor(config, BATCH, device, *arguments) for name, arguments in FLOORS.items()}
    times = interleaved(cases, repeats, STEPS, device, prepare=set_for)
    for name, step in steps.items():
        if not step.last_loss.isfinite():
            raise PIEError(f"the loss of {name} is not finite: the time of such a training is worth nothing")
    return Steps(times, first)


def _batch_loader(images: Tensor, config: PIEConfig, device: torch.device) -> Callable[[], Tensor]:
    """Return what `training.train` does for each batch before the model sees it."""
    training = TrainingConfig(noise=config.eps2, dequantise=True)
    generator = torch.Generator(device).manual_seed(0)
    order = torch.randperm(len(images))
    position = 0

    def load() -> Tensor:
        nonlocal position
        position = (position + BATCH) % (len(images) - BATCH)
        return training_batch(images[order[position : position + BATCH].to(device)], training, generator)

    return load


@torch.no_grad()
def throughput(repeats: int, device: torch.device) -> dict[str, dict[str, Spread]]:
    """Return the seconds for `CHUNK` images by task and subject."""
    config = PIEConfig()
    subjects = {name: SUBJECTS[name] for name in (OURS, "pie, bfloat16", *PEERS)}
    models = {name: subject.build(config).to(device).eval() for name, subject in subjects.items()}
    x = torch.rand(CHUNK, *config.image_shape, device=device)
    arguments = {"sample": (CHUNK, SAMPLES), "encode": (x, READ), "log_prob": (x, READ)}

    def run(name: str, task: str) -> object:
        with subjects[name].precision(device):
            return getattr(models[name], task)(arguments[task][0])

    return {
        task: interleaved(
            {name: partial(run, name, task) for name in models}, repeats, count // CHUNK, device, 1, set_for
        )
        for task, (_, count) in arguments.items()
    }


def start_up(repeats: int) -> dict[str, Spread]:
    """Return the seconds of fresh processes that only import or show help."""

    def start(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    cases = {name: partial(start, arguments) for name, arguments in IMPORTS.items()}
    return interleaved(cases, repeats, 1, torch.device("cpu"), 1)


def data_share(steps: Steps) -> Spread:
    """Return the share of a whole step, the making of its batch included, that the batch takes."""
    pairs = zip(steps.times[DATA].values, steps.times[OURS].values, strict=True)
    return Spread(tuple(data / (data + step) for data, step in pairs))
