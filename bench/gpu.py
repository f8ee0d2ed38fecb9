"""What only a GPU can tell: `python -m bench.gpu --device cuda` writes bench/GPU.md.

The times of a training step under each precision, eager, compiled and with CUDA graphs, beside the peers' with this
project's optimizer step; how exact the inverse is under each; an epoch; and several trainings at once on one device.
Without `--device` the same path runs on the CPU, on fewer images; CUDA graphs and TF32 change nothing there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from bench.measure import interleaved, seconds
from bench.report import machine, table
from bench.run import options_from, run_as_command
from bench.speed import BATCH, STEPS
from bench.subjects import FAST, OURS, PEERS, SUBJECTS, Subject, TrainingStep, as_trained
from pie_cli import PIEConfig, load_showcase
from pie_cli.data.load import load_dataset
from pie_cli.errors import PIEError
from pie_cli.io.files import write_text
from pie_cli.models.pie import PIE

STEPPED = {
    OURS: SUBJECTS[OURS],
    **FAST,
    "pie, compiled, CUDA graphs": Subject(as_trained, compiled=True, mode="reduce-overhead"),
    "pie, bfloat16, compiled, CUDA graphs": Subject(as_trained, torch.bfloat16, compiled=True, mode="reduce-overhead"),
    **{f"{peer}, our step": SUBJECTS[f"{peer}, our step"] for peer in PEERS},
}
TF32 = "pie, TF32"
EPOCHS = {
    "float32": (),
    "float32, compiled": ("--compile",),
    "bfloat16": ("--precision", "bf16-mixed"),
    "bfloat16, compiled": ("--precision", "bf16-mixed", "--compile"),
}
TRAINED = {"cuda": ("mnist", (1, 2, 4, 8)), "cpu": ("digits", (1, 2))}  # on which images, and how many at once


@contextmanager
def tf32() -> Iterator[None]:
    """Let products and convolutions of float32 round their factors to ten bits, within the block."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def step_rows(repeats: int, device: torch.device) -> list[list[str]]:
    """Return a row for each subject, and for ours in TF32: the milliseconds of a step, and their ratio to ours."""
    config = PIEConfig()
    x = torch.rand(BATCH, *config.image_shape, device=device)
    cases: dict[str, Callable[[], object]] = {name: TrainingStep(one, config, x) for name, one in STEPPED.items()}
    cases[TF32] = tf32()(TrainingStep(SUBJECTS[OURS], config, x))
    times = interleaved({name: partial(seconds, case, device=device) for name, case in cases.items()}, repeats, STEPS)
    return [[name, str(found.times(1e3)), str(found.over(times[OURS]))] for name, found in times.items()]


def exactness_rows(device: torch.device) -> list[list[str]]:
    """Return a row for each precision: how far the inverse of the shipped model is from the images, at most."""
    model = load_showcase(device)
    assert isinstance(model, PIE)
    x = load_dataset("digits").test.images.float().to(device) / 255
    contexts = {name: SUBJECTS[name].precision(device) for name in (OURS, "pie, bfloat16")} | {TF32: tf32()}
    rows = []
    with torch.no_grad():
        expected = model.reconstruct(x)
        for name, context in contexts.items():
            with context:
                z, residuals, _ = model(x)
                exact, approximate = model.decode(z, residuals), model.decode(z)
            errors = (exact - x).abs().max().item(), (approximate - expected).abs().max().item()
            rows.append([name, *(f"{error:.2g}" for error in errors)])
    return rows


def trainings(count: int, device: str, dataset: str, options: tuple[str, ...] = ()) -> tuple[float, float]:
    """Train so many runs of one epoch at once; return the seconds until the last ends, and the most that one took."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "--epochs", "1", "--device", device, "--dataset", dataset, "--results-dir", folder, *options]
        start = time.monotonic()
        processes = [
            subprocess.Popen([sys.executable, "-m", "pie_cli", *words, "--seed", str(seed)], stdout=subprocess.DEVNULL)
            for seed in range(count)
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise PIEError("a training has failed; what it said stands above")
        took = time.monotonic() - start
        facts = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*/provenance.json")]
        return took, max(fact["wall_seconds"] for fact in facts)


def main() -> None:
    """Measure, and write the page."""
    options = options_from(__doc__, Path("bench/GPU.md"), repeats=5)
    kind = options.device.type
    dataset, counts = TRAINED[kind]
    steps, exactness = step_rows(options.repeats, options.device), exactness_rows(options.device)
    epochs = [[name, f"{trainings(1, kind, dataset, words)[1]:.1f}"] for name, words in EPOCHS.items()]
    together = [(count, *trainings(count, kind, dataset)) for count in counts]
    page = [
        "# What only a GPU can tell",
        f"Written by `{options.command}`.",
        machine(options.device),
        f"## A training step, {BATCH} images",
        table(["", "ms", f"/ {OURS}"], steps),
        "## How exact",
        "The shipped model on scikit-learn's digits: the largest difference between an image and what all its numbers "
        "decode to; and between what z alone decodes to and the same in float32.",
        table(["", "exact inverse", "from z alone"], exactness),
        f"## One epoch of {dataset}",
        table(["", "seconds"], epochs),
        "## Several trainings on one device",
        table(
            ["at once", "seconds of an epoch", "seconds a training, with start and end"],
            [[str(count), f"{longest:.1f}", f"{took / count:.1f}"] for count, took, longest in together],
        ),
    ]
    write_text(options.output, "\n\n".join(page) + "\n")


if __name__ == "__main__":
    run_as_command(main)
