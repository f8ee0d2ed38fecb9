"""What PIE and its opponents cost to train: `python -m studies.cost` measures it, on an idle machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import torch

from pie_cli.config.naming import run_config
from pie_cli.data.load import load_dataset
from pie_cli.models.registry import build_model
from pie_cli.runs.folder import Run
from pie_cli.training.batches import batches_per_epoch
from studies.opponents import OPPONENTS, WIDE
from studies.study import Study, write_measured
from studies.trials import TRIALS

REPEATS = 5
STUDY = Study("cost", "What do they cost?", {})


def main() -> None:
    """Write the table; the models take turns, and a first round only warms the process up."""
    from bench.loops import STEPS, step_seconds  # imported here, since only this needs its libraries
    from bench.measure import Spread

    torch.set_num_threads(1)
    dataset = load_dataset("mnist")
    runs = {name: run_config(**settings, epochs=1) for name, settings in (OPPONENTS | WIDE).items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS + 1):
        for name, config in runs.items():
            count = STEPS * config.resolved.batch_size
            with tempfile.TemporaryDirectory() as folder:
                run = Run(Path(folder) / "run", config)
                seconds[name].append(step_seconds(run, dataset.train[:count], torch.device("cpu")))
    rows = []
    for name, config in runs.items():
        step, steps = Spread(tuple(seconds[name][1:])), batches_per_epoch(dataset, config.resolved)
        rows.append(
            {
                "model": name,
                "parameters": sum(p.numel() for p in build_model(config.model).parameters()),
                "trials": TRIALS,
                "ms a step": str(step.times(1e3)),
                "minutes of ten epochs": 10 * steps * step.median / 60,
            }
        )
    write_measured(STUDY.name, pd.DataFrame(rows), f"{REPEATS} repeats of {STEPS} steps, one thread", digits=3)


if __name__ == "__main__":
    main()
