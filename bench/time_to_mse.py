"""Seconds on one core until the validation MSE from z alone reaches 0.025 and 0.02: `python -m bench.time_to_mse`.

It runs the training of `pie train` on one thread, and measures the MSE every few steps; that time is not counted.
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

from pie_cli.config.naming import run_config
from pie_cli.config.run import TrainingConfig
from pie_cli.data.base import Dataset
from pie_cli.data.load import load_dataset
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.metrics.inference import clean, in_batches
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution, keep_freed_memory
from pie_cli.training import loop
from pie_cli.training.display import TrainingDisplay
from pie_cli.training.state import TrainingState

TARGETS = (0.025, 0.02)
BATCH = TrainingConfig().batch_size
EVERY = 50  # steps between looks


class _AllReached(Exception):
    """All targets are reached."""


def watch(dataset: Dataset, reached: dict[float, float]) -> type[TrainingState]:
    """Return a training state that notes in `reached` the processor seconds at which each target is reached."""
    images = clean(dataset.validation)

    class Watched(TrainingState):
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
    parser.add_argument("--batch-size", type=int, default=BATCH, help="default: %(default)s")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    dataset, reached = load_dataset("mnist"), dict[float, float]()
    loop.TrainingState = watch(dataset, reached)  # type: ignore[misc]
    settings = {"epochs": arguments.epochs, "batch_size": arguments.batch_size, "precision": arguments.precision}
    config = run_config(latent_dim=10, **settings)
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = Run(Path(folder) / "run", config)
            display = TrainingDisplay(Console(quiet=True), run.name, None)
            loop.train(run, dataset, Execution("cpu"), display)
        except _AllReached:
            pass
    for target in TARGETS:
        print(f"MSE {target}: " + (f"{reached[target]:.0f} s of one core" if target in reached else "not reached"))


if __name__ == "__main__":
    main()
