"""Seconds of one core until the validation MSE from z alone reaches 0.025 and 0.02: `python -m bench.time_to_mse`.

It is `pie train` itself, on one thread, stopped every few steps to look at the MSE; looking is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from pie_cli import training
from pie_cli.allocator import keep_freed_memory
from pie_cli.data import Dataset, load_dataset
from pie_cli.devices import Execution
from pie_cli.inference import clean, in_batches
from pie_cli.launch import run_config
from pie_cli.metrics import reconstruction_mse
from pie_cli.progress import TrainingDisplay
from pie_cli.runs import Run

TARGETS = (0.025, 0.02)
EVERY = 50  # steps between looks


class _AllReached(Exception):
    """There is nothing more to wait for."""


def watch(dataset: Dataset, reached: dict[float, float]) -> type[training.TrainingState]:
    """Return a training state that notes in `reached` the processor's seconds at which each target was."""
    images = clean(dataset.validation)

    class Watched(training.TrainingState):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.spent, self.since = 0.0, time.process_time()

        def advance(self, loss: Tensor) -> None:
            super().advance(loss)
            if self.step % EVERY:
                return
            self.spent += time.process_time() - self.since
            mse = reconstruction_mse(images, in_batches(self.model.reconstruct, images, self.model))
            print(f"step {self.step}: {self.spent:.0f} s, MSE {mse:.4f}", flush=True)
            reached.update({target: self.spent for target in TARGETS if mse <= target and target not in reached})
            if len(reached) == len(TARGETS):
                raise _AllReached
            self.since = time.process_time()

    return Watched


def main() -> None:
    """Print the MSE at each look, then the seconds at which each target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2, help="length of the schedule")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    dataset, reached = load_dataset("mnist"), dict[float, float]()
    training.TrainingState = watch(dataset, reached)  # type: ignore[misc]
    config = run_config("pie", 10, {"epochs": arguments.epochs, "precision": arguments.precision}, {})
    with tempfile.TemporaryDirectory() as folder:
        try:
            display = TrainingDisplay(Console(quiet=True), config.name, None)
            training.train(Run(Path(folder) / "run", config), dataset, Execution("cpu"), display)
        except _AllReached:
            pass
    for target in TARGETS:
        print(f"MSE {target}: " + (f"{reached[target]:.0f} s of one core" if target in reached else "not reached"))


if __name__ == "__main__":
    main()
