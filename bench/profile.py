"""`python -m bench.profile`: where a training step of the default PIE spends its time, into bench/PROFILE.md.

It lists each of PyTorch's operations with its own time, without its children's, over `STEPS` steps. The profiler makes
small operations look more expensive than they are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from bench.report import machine, table
from bench.speed import BATCH
from bench.subjects import OURS, SUBJECTS, TrainingStep
from pie_cli import PIEConfig
from pie_cli.io.files import write_text
from pie_cli.runtime import keep_freed_memory

STEPS, WARM_UP = 20, 5
TOUCHED = 2**27  # numbers in each of the blocks below
SHOWN = 24
GROUPS = {  # by parts of the operations' names
    "products of the networks and rotations": ("convolution", "mm", "bmm", "addmm"),
    "optimizer": ("Adam", "adam"),
    "copies, concatenations, sums of gradients": ("copy", "cat", "add_", "clone", "fill", "zero"),
}
REST = "everything else: ReLU, the couplings' arithmetic, calls"


def main() -> None:
    """Profile, and write the page."""
    keep_freed_memory()
    # The profiler's records take memory from the allocator too. New pages would be charged to the step's operations.
    touched = [torch.ones(TOUCHED) for _ in range(3)]
    del touched
    config, cpu = PIEConfig(), torch.device("cpu")
    step = TrainingStep(SUBJECTS[OURS], config, torch.rand(BATCH, *config.image_shape))
    for _ in range(WARM_UP):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            step()
    operations = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in operations)

    groups: dict[str, float] = dict.fromkeys([*GROUPS, REST], 0.0)
    for event in operations:
        fitting = (group for group, names in GROUPS.items() if any(name in event.key for name in names))
        groups[next(fitting, REST)] += event.self_cpu_time_total

    def row(name: str, calls: str, microseconds: float) -> list[str]:
        return [name, calls, f"{microseconds / STEPS / 1000:.2f}", f"{microseconds / total:.1%}"]

    header = ["", "calls a step", "ms a step", "share"]
    single = [row(f"`{e.key}`", f"{e.count / STEPS:.0f}", e.self_cpu_time_total) for e in operations[:SHOWN]]
    parts = [
        "# A training step of the default PIE, taken apart",
        f"Written by `python -m bench.profile`: {STEPS} steps of {BATCH} images, float32, eager, under PyTorch's "
        "profiler, which makes small operations look dearer than they are.",
        machine(cpu),
        table(header, [row(name, "", spent) for name, spent in groups.items()]),
        f"The {SHOWN} operations that take most, without what they call:",
        table(header, single),
    ]
    write_text(Path(__file__).parent / "PROFILE.md", "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
