"""bench/RESULTS.md: where the numbers come from, each target with the measured value, and all measurements."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product

import torch

from bench import speed
from bench.measure import Spread
from bench.subjects import FAST, LEAN, OURS, PEERS
from pie_cli.io.provenance import git_commit, processor

PACKAGES = ("torch", "FrEIA", "normflows", "pythae", "lightning-fabric", "numpy")
MIB = 2**20
MEMORY_BATCHES = (speed.BATCH, 512)


@dataclass(frozen=True)
class Measurements:
    """All that a run of the benchmark measured; times in seconds, memory in bytes."""

    steps: speed.Steps
    throughput: dict[str, dict[str, Spread]]
    loops: dict[str, Spread]
    start_up: dict[str, Spread]
    memory: dict[tuple[str, int], Spread]  # by subject and batch
    parameters: dict[str, int]

    @property
    def fastest(self) -> str:
        """This project's fast option with the shortest training step."""
        return min(set(FAST) & set(self.steps.times), key=lambda name: self.steps.times[name].median)

    @property
    def leanest(self) -> str:
        """This project's option that takes the least memory."""
        there = [name for name in LEAN if (name, MEMORY_BATCHES[-1]) in self.memory]
        return min(there, key=lambda name: self.memory[name, MEMORY_BATCHES[-1]].median)

    def best_peer(self, spreads: Mapping[str, Spread]) -> Spread:
        """Return the smaller of the peers' measurements, by their medians."""
        return min((spreads[peer] for peer in PEERS), key=lambda spread: spread.median)


@dataclass(frozen=True)
class Target:
    """What a measured value should be.

    Arguments:
        name: the name of the value.
        ours: its measurement.
        must, aim: bounds; must < aim if more is better.
        unit: written after all three.
    """

    name: str
    ours: Spread
    must: float
    aim: float
    unit: str = "×"

    @property
    def row(self) -> list[str]:
        more = self.must < self.aim
        reached = [name for name in ("must", "aim") if self._meets(getattr(self, name), more)]
        sign = "≥" if more else "≤"
        bounds = [f"{sign} {bound:g}{self.unit}" for bound in (self.must, self.aim)]
        return [self.name, *bounds, f"{self.ours}{self.unit}", reached[-1] if reached else "missed"]

    def _meets(self, bound: float, more: bool) -> bool:
        return self.ours.median >= bound if more else self.ours.median <= bound


def targets(found: Measurements) -> list[Target]:
    """Return every target with its measurement."""
    times, rows = found.steps.times, []
    for ours, as_written, our_step in ((OURS, (1.45, 1.6), (1.35, 1.5)), (found.fastest, (1.6, 2.5), (1.6, 2.5))):
        for peer in PEERS:
            rows.append(Target(f"training step: {peer} / {ours}", times[peer].over(times[ours]), *as_written))
        for peer in PEERS:
            name = f"{peer}, our step"
            rows.append(Target(f"training step: {name} / {ours}", times[name].over(times[ours]), *our_step))
    for ours in (OURS, "pie, compiled"):
        ratio = times[ours].over(times["products, float32"])
        rows.append(Target(f"training step: {ours} / products, float32", ratio, 1.25, 1.15))
    for task, spreads in found.throughput.items():
        ratio = found.best_peer(spreads).over(spreads[OURS])
        rows.append(Target(f"{task}: the faster peer / {OURS}", ratio, 3.0, 4.0))
    for batch, ours in product(MEMORY_BATCHES, (OURS, found.leanest)):
        leaner = found.best_peer({peer: found.memory[peer, batch] for peer in PEERS})
        ratio = found.memory[ours, batch].over(leaner)
        rows.append(Target(f"peak training memory, {batch} images: {ours} / the leaner peer", ratio, 0.8, 0.5))
    rows.append(
        Target("share of a step that making the batch takes", speed.data_share(found.steps).times(100), 2, 2, " %")
    )
    rows.append(
        Target(
            "share of a training that its checkpoints take", speed.checkpoint_share(found.steps).times(100), 2, 2, " %"
        )
    )
    rows.append(Target("pie --help", found.start_up["pie --help"], 0.5, 0.25, " s"))
    return rows


def markdown(found: Measurements, command: str, device: torch.device, seconds: float) -> str:
    """Return the whole page."""
    parts = [
        "# Benchmark",
        f"Written by `{command}` in {seconds / 60:.1f} minutes. Every figure is a median with (least–greatest) of its "
        "repeats. What is compared with each other was measured in turns, each in a process of its own; a ratio is "
        "taken repeat by repeat. How the peers are put together, and where they differ, stands in `bench/freia.py` and "
        "`bench/normalizing_flows.py`; what the floor is, in `bench/floor.py`; what a step consists of, and so what "
        "keeps it from the floor, in `bench/PROFILE.md`.",
        machine(device),
        "## Targets",
        table(["", "must", "aim", "measured", "reached"], [target.row for target in targets(found)]),
        f"## A training step, {speed.BATCH} images",
        "float32 without torch.compile where the name does not say otherwise. The first step includes "
        "compiling, unless torch has the result in its cache from an earlier run. A peer's step is what its users "
        "write, torch's Adam as it comes and `clip_grad_norm_`; with \"our step\" it has this project's fused Adam and "
        "clipping, so that what is left are the flows alone. What computes in bfloat16 is left out where the processor "
        "only emulates it.",
        _steps_table(found),
        "## Encoding, density, sampling",
        f"Batches of {speed.CHUNK:,} images, without gradients, per 1,000 images; {speed.SAMPLES:,} samples and "
        f"{speed.READ:,} images a repeat.",
        _throughput_table(found.throughput),
        "## Peak memory of training",
        "Each in a fresh process: the peak of three steps above what the process had once all code and the batch were "
        "loaded. Weights, gradients and Adam's two moments alone are four numbers a parameter.",
        _memory_table(found),
        "## The whole training loop: VAE",
        "The same layers in this project's loop and in pythae's trainer, seconds a step (`bench/loops.py`).",
        _times_table(found.loops, "pie"),
        "## Starting up",
        "Seconds of a fresh process.",
        _times_table(found.start_up, "import torch"),
    ]
    return "\n\n".join(parts) + "\n"


def machine(device: torch.device) -> str:
    """Return a list of where numbers come from."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "commit": git_commit() or "unknown",
        "processor": f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are right-aligned."""
    rule = [":---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _steps_table(found: Measurements) -> str:
    times, first = found.steps.times, found.steps.first
    rows = [
        [name, str(spread), str(spread.over(times[OURS])), f"{first[name]:.1f}" if name in first else "–"]
        for name, spread in times.items()
    ]
    return table(["", "seconds", f"/ {OURS}", "first step, s"], rows)


def _throughput_table(throughput: dict[str, dict[str, Spread]]) -> str:
    names = list(throughput["sample"])
    rows = []
    for name in names:
        row = [name]
        for task in throughput.values():
            row += [str(task[name]), str(task[name].over(task[OURS]))]
        rows.append(row)
    return table(["", *(cell for task in throughput for cell in (f"{task}, s", f"/ {OURS}"))], rows)


def _memory_table(found: Measurements) -> str:
    rows = []
    for (name, batch), spread in found.memory.items():
        fixed = 4 * 4 * found.parameters[name] / MIB
        ratio = str(spread.over(found.memory[OURS, batch]))
        row = [f"{name}, {batch} images", str(spread.times(1 / MIB)), ratio, f"{fixed:.0f}"]
        rows.append([*row, f"{found.parameters[name]:,}"])
    return table(["", "MiB", f"/ {OURS}", "of which for the parameters, MiB", "parameters"], rows)


def _times_table(times: dict[str, Spread], reference: str) -> str:
    rows = [[name, str(spread), str(spread.over(times[reference]))] for name, spread in times.items()]
    return table(["", "seconds", f"/ {reference}"], rows)
