"""How times are measured: synchronised, interleaved and repeated; they are compared as ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch


@dataclass(frozen=True)
class Spread:
    """Repeats of a measurement, with their median, least and greatest."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def over(self, other: Spread) -> Spread:
        """Return the ratios of repeats that were taken one after the other."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(tuple(factor * value for value in self.values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.values):.3g}–{max(self.values):.3g})"


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(case: Callable[[], object], calls: int, device: torch.device) -> float:
    """Return the mean time of a call over this many calls."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        case()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def interleaved(
    timers: Mapping[str, Callable[[int], float]], repeats: int, calls: int, warm_up: int = 3
) -> dict[str, Spread]:
    """Return the seconds of a call of each case, in the order A B C, A B C, …: what slows the machine slows all cases.

    Arguments:
        timers: by name, a function that calls a case that often and returns the mean seconds: `seconds`, or a `Remote`.
        repeats: number of rounds.
        calls: calls of one case in a row; a repeat is their mean.
        warm_up: calls of each case before the first round and before each of its turns: while a process waits, its
            caches grow cold and its pages are lost.
    """
    for timer in timers.values():
        timer(warm_up)
    times: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats):
        for name, timer in timers.items():
            timer(warm_up)
            times[name].append(timer(calls))
    return {name: Spread(tuple(values)) for name, values in times.items()}
