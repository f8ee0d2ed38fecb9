"""Time this code against another checkout of it, in turns: `python -m bench.turns ../other`.

Each has its own process with one thread, and they take turns, so that both see the same state of the machine. A step is
the loss of 128 images, its gradients, a bound on their norm and Adam; the other calls take 1,000 images. Only public
names are used, which older versions have too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

TURNS, REPEATS = 10, 3  # repeats per turn; a first turn warms up and is not counted


def main() -> None:
    """Print, for each kind of work, both times in milliseconds and their ratio, as median (least–greatest)."""
    from bench.measure import Spread

    other, here = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parents[1]
    for kind in ("step", "encode", "decode", "log_prob"):
        workers = [_start(checkout, kind) for checkout in (other, here)]
        times: list[list[float]] = [[], []]
        for turn in range(TURNS + 1):
            for seconds, worker in zip(times, workers, strict=True):
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
                took = float(worker.stdout.readline())
                seconds += [took] * (turn > 0)
        for worker in workers:
            worker.kill()
        of, ours = (Spread(tuple(seconds)).times(1e3) for seconds in times)
        print(f"{kind}: {of} and {ours} ms; ours over the other {ours.over(of)}", flush=True)


def _start(checkout: Path, kind: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", __file__, kind]  # -P: this folder's profile.py must not hide the library's
    return subprocess.Popen(
        command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def work(kind: str) -> Callable[[], object]:
    """Return the function that is timed."""
    from pie_cli import PIE, PIEConfig

    torch.manual_seed(0)
    model, x, z = PIE(PIEConfig()), torch.rand(1000, 1, 28, 28), torch.randn(1000, 10)
    model.start_from_data(x)
    for parameter in model.parameters():
        if not parameter.any():  # a fresh model's last layers
            torch.nn.init.normal_(parameter, std=0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        terms = model.loss(x[:128])
        (terms["loss"] if isinstance(terms, dict) else terms).backward()  # older versions return the terms too
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    given: dict[str, Callable[[], object]] = {
        "encode": lambda: model.encode(x),
        "decode": lambda: model.decode(z),
        "log_prob": lambda: model.log_prob(x),
    }
    return step if kind == "step" else torch.no_grad()(given[kind])


if __name__ == "__main__" and len(sys.argv) == 2 and sys.argv[1] in ("step", "encode", "decode", "log_prob"):
    timed = work(sys.argv[1])
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(REPEATS):
            timed()
        print((time.perf_counter() - started) / REPEATS, flush=True)
elif __name__ == "__main__":
    main()
