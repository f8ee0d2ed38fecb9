"""What only a GPU can tell: `python -m bench.gpu` writes bench/GPU.md.

The times of a training step under each precision, eager, compiled and with CUDA graphs, beside the peers' with this
project's optimizer step; how exact the inverse is under each; an epoch; and several trainings at once on one device.
With `--device cpu` the same path runs on the CPU, where CUDA graphs and TF32 change nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.measure import interleaved, seconds
from bench.report import machine, table
from bench.run import run_as_command
from bench.speed import BATCH, STEPS
from bench.subjects import OURS, PEERS, SUBJECTS, TrainingStep
from pie_cli import PIEConfig, load_showcase
from pie_cli.data.load import load_dataset
from pie_cli.errors import UsageError
from pie_cli.io.files import write_text
from pie_cli.models.pie import PIE

EPOCHS = {
    "float32": (),
    "float32, compiled": ("--compile",),
    "bfloat16": ("--precision", "bf16-mixed"),
    "bfloat16, compiled": ("--precision", "bf16-mixed", "--compile"),
}


@contextmanager
def tf32() -> Iterator[None]:
    """Let products and convolutions of float32 round their factors to ten bits, within the block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@dataclass(frozen=True)
class Way:
    """A way to compute: a precision, as a context, and what the loss is called through."""

    context: Callable[[torch.device], Any] = lambda device: nullcontext()
    compile: Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]] = lambda loss: loss


def bfloat16(device: torch.device) -> torch.autocast:
    """Return the context of bfloat16."""
    return torch.autocast(device.type, torch.bfloat16)


GRAPHS = partial(torch.compile, mode="reduce-overhead")
WAYS = {
    "float32": Way(),
    "float32, TF32": Way(lambda device: tf32()),
    "float32, compiled": Way(compile=torch.compile),
    "float32, compiled, CUDA graphs": Way(compile=GRAPHS),
    "bfloat16": Way(bfloat16),
    "bfloat16, compiled": Way(bfloat16, torch.compile),
    "bfloat16, compiled, CUDA graphs": Way(bfloat16, GRAPHS),
}


def step(way: Way, device: torch.device) -> Callable[[], None]:
    """Return a training step of the default PIE, computed this way."""
    config = PIEConfig()
    found = TrainingStep(SUBJECTS[OURS], config, torch.rand(BATCH, *config.image_shape, device=device))
    found.loss = way.compile(found.model.loss)

    def run() -> None:
        with way.context(device):
            found()

    return run


def peers_step(name: str, device: torch.device) -> Callable[[], None]:
    """Return a training step of a peer."""
    config = PIEConfig()
    return TrainingStep(SUBJECTS[name], config, torch.rand(BATCH, *config.image_shape, device=device))


def step_rows(repeats: int, device: torch.device) -> list[list[str]]:
    """Return a row for each way and each peer: the seconds of a step, and their ratio to float32's."""
    cases: dict[str, Callable[[], None]] = {name: step(way, device) for name, way in WAYS.items()}
    cases |= {f"{peer}, our step": peers_step(f"{peer}, our step", device) for peer in PEERS}
    timers = {name: partial(seconds, case, device=device) for name, case in cases.items()}
    times = interleaved(timers, repeats, STEPS)
    first = times["float32"]
    return [[name, str(found.times(1e3)), str(found.over(first))] for name, found in times.items()]


def exactness_rows(device: torch.device) -> list[list[str]]:
    """Return a row for each precision: how far the inverse of the shipped model is from the images, at most."""
    model = load_showcase(device)
    assert isinstance(model, PIE)
    x = load_dataset("digits").test.images.float().to(device) / 255
    rows = []
    for name in ("float32", "float32, TF32", "bfloat16"):
        with torch.no_grad(), WAYS[name].context(device):
            z, residuals, _ = model(x)
            again, decoded = model.decode(z, residuals), model.decode(model.encode(x))
        with torch.no_grad():
            expected = model.decode(model.encode(x))
        errors = [(again - x).abs().max().item(), (decoded - expected).abs().max().item()]
        rows.append([name, *(f"{error:.2g}" for error in errors)])
    return rows


def trainings(count: int, device: str, dataset: str, options: tuple[str, ...] = ()) -> tuple[float, list[float]]:
    """Train so many runs of one epoch at once; return the seconds until the last ends, and what each says it took."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "--epochs", "1", "--device", device, "--dataset", dataset, "--results-dir", folder, *options]
        start = time.monotonic()
        processes = [
            subprocess.Popen([sys.executable, "-m", "pie_cli", *words, "--seed", str(seed)], stdout=subprocess.DEVNULL)
            for seed in range(count)
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise UsageError("a training has failed; what it said stands above")
        took = time.monotonic() - start
        facts = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*/provenance.json")]
        return took, [fact["wall_seconds"] for fact in facts]


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser("python -m bench.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dataset", default="mnist", help="of epochs and trainings; default: %(default)s")
    parser.add_argument("--at-once", type=int, default=8, help="most trainings at a time; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="of the steps; default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("bench/GPU.md"), help="default: %(default)s")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device here; --device cpu runs the same path on the CPU")
    device = torch.device(options.device)
    steps, exactness = step_rows(options.repeats, device), exactness_rows(device)
    epochs = [
        [name, *(f"{took:.1f}" for took in trainings(1, options.device, options.dataset, words)[1])]
        for name, words in EPOCHS.items()
    ]
    together = []
    for count in (2**power for power in range(options.at_once.bit_length())):
        whole, each = trainings(count, options.device, options.dataset)
        together.append([str(count), f"{max(each):.1f}", f"{whole / count:.1f}"])
    command = " ".join(["python -m bench.gpu", *sys.argv[1:]])
    page = [
        "# What only a GPU can tell",
        f"Written by `{command}`.",
        machine(device),
        f"## A training step, {BATCH} images",
        table(["", "ms", "/ float32"], steps),
        "## How exact",
        "The shipped model on scikit-learn's digits: the largest difference between an image and what all its numbers "
        "decode to; and between what z alone decodes to and the same in float32.",
        table(["", "exact inverse", "from z alone"], exactness),
        f"## One epoch of {options.dataset}",
        table(["", "seconds"], epochs),
        "## Several trainings on one device",
        table(["at once", "seconds of an epoch", "seconds a training, with start and end"], together),
    ]
    write_text(options.output, "\n\n".join(page) + "\n")


if __name__ == "__main__":
    run_as_command(main)
