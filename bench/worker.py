"""Training steps in a fresh process, whose peak memory is then theirs alone.

`python -m bench.worker` reads a job as JSON from stdin and writes what it measured to stdout; `run` starts it.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pie_cli.errors import PIEError


@dataclass(frozen=True)
class Job:
    """What to train.

    Arguments:
        subject: a name in `SUBJECTS`.
        config: fields of `PIEConfig` that differ from the defaults.
        batch: number of images.
        steps: number of steps; the first, which allocates, is not timed.
        device: where to compute.
        threads: torch's number of threads; None leaves its default.
    """

    subject: str
    config: dict[str, Any]
    batch: int
    steps: int
    device: str
    threads: int | None


@dataclass(frozen=True)
class Outcome:
    """What a job measured.

    Arguments:
        seconds: seconds of each step except the first.
        peak: bytes beyond what the process has after imports and with the batch in memory; on CUDA, torch's own count.
        parameters: number of trained parameters.
    """

    seconds: list[float]
    peak: int
    parameters: int


def run(job: Job) -> Outcome:
    """Do the job in a fresh process. Raises PIEError if that fails."""
    command = [sys.executable, "-m", "bench.worker"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PIEError(f"{job} failed: {done.stderr.strip().splitlines()[-1]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def _work(job: Job) -> Outcome:
    import torch

    from bench.measure import seconds
    from bench.subjects import PEERS, SUBJECTS, TrainingStep
    from pie_cli import PIEConfig
    from pie_cli.runtime import keep_freed_memory

    device = torch.device(job.device)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    config = PIEConfig(**job.config)
    subject = SUBJECTS[job.subject]
    if not job.subject.startswith(PEERS):
        keep_freed_memory()
    tiny = PIEConfig((1, 4, 4), latent_dim=2, dense_width=1)
    TrainingStep(subject, tiny, torch.rand(1, 1, 4, 4, device=device))()  # loads all code, outside the peak
    x = torch.rand(job.batch, *config.image_shape, device=device)
    gc.collect()
    before = _reset_peak(device)
    step = TrainingStep(subject, config, x)
    step()
    times = [seconds(step, 1, device) for _ in range(job.steps - 1)]
    return Outcome(times, _peak(device) - before, sum(p.numel() for p in step.parameters))


def _reset_peak(device: Any) -> int:
    """Forget the peak so far; return the bytes in use."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: Any) -> int:
    import torch

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int:
    """Return a field of Linux's status of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(json.dumps(asdict(_work(Job(**json.load(sys.stdin))))))
