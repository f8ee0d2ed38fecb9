"""`python -m bench`: measure this project against its peers and write bench/RESULTS.md."""

from __future__ import annotations

import sys
import time
from itertools import product
from pathlib import Path

import torch

from bench import speed
from bench.measure import Spread
from bench.run import options_from, run_as_command
from bench.subjects import LEAN, OURS, PEERS, worth_measuring
from bench.worker import Job, Outcome, run
from pie_cli.io.files import write_text

MEMORY_SUBJECTS = (OURS, "pie, bfloat16", *LEAN, *PEERS)
MEMORY_REPEATS, MEMORY_STEPS = 3, 3


def main() -> None:
    """Measure everything, cheap things first, and write the page."""
    from bench import loops, report  # imported here, so that a missing library is reported in one line

    options = options_from(__doc__, Path("bench/RESULTS.md"), repeats=5)
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:4.0f} s  {what}", file=sys.stderr, flush=True)

    torch.manual_seed(0)
    say("starting up")
    start_up = speed.start_up(options.repeats)
    say("peak memory")
    cases = product(worth_measuring(MEMORY_SUBJECTS, options.device), report.MEMORY_BATCHES)
    outcomes: dict[tuple[str, int], list[Outcome]] = {case: [] for case in cases}
    for _ in range(MEMORY_REPEATS):
        for (name, batch), found in outcomes.items():
            found.append(run(Job(name, {}, batch, MEMORY_STEPS, options.device.type, options.threads)))
    say("training loops")
    vae = loops.vae_steps(options.repeats, options.device)
    say("encoding, density, sampling")
    throughput = speed.throughput(options.repeats, options.device, options.threads)
    say("training steps")
    steps = speed.training_steps(options.repeats, options.device, options.threads)
    measurements = report.Measurements(
        steps,
        throughput,
        vae,
        start_up,
        memory={case: Spread(tuple(outcome.peak for outcome in found)) for case, found in outcomes.items()},
        parameters={name: found[0].parameters for (name, _), found in outcomes.items()},
    )
    page = report.markdown(measurements, options.command, options.device, time.monotonic() - start)
    write_text(options.output, page)
    say(f"wrote {options.output}")


if __name__ == "__main__":
    run_as_command(main)
