"""The progress of many runs at once: a live bar for each in a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pie_cli.runs.folder import Run
from pie_cli.training.display import LINE_SECONDS

# Of a training step, roughly; only the time left depends on it.
STEP_COST = {"pie": 5.0, "vae": 1.0, "wae": 1.0, "rae": 1.0}
LOOK_SECONDS = 1.0  # between looks at the folders of runs that are not trained here


class GridDisplay:
    """Shows each run in training, here or elsewhere, and the share done and the time left of all runs.

    The workers here report their progress; the folders of other runs show theirs. The share done counts all work,
    whoever does it; the time left follows from the work done since this display began. Only a terminal has bars.
    """

    def __init__(self, console: Console, runs: Sequence[Run]) -> None:
        self.console = console
        self.runs = {run.name: run for run in runs}
        # Training and evaluation, in units of a baseline's epoch; an evaluation costs about as much as an epoch.
        self.cost = {run.name: STEP_COST[run.config.model_name] * (run.config.resolved.epochs + 1) for run in runs}
        self.done = {name: _share_done(run) for name, run in self.runs.items()}
        self.first = self._share()  # what an earlier call did took this one no time
        self.started = self.looked = self.printed = time.monotonic()
        self.at: dict[int, str] = {}  # the run that a worker here tries to lock, or has locked
        self.here: dict[str, str] = {}  # the runs that are trained here, with a note
        self.held: set[str] = set()  # the runs that a worker here found locked, by another process or by another worker
        self.elsewhere: set[str] = set()
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self.total = self.bar.add_task(f"[bold]all {len(runs)} runs", total=1.0, note="")
        self.bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def take_in(self, worker: int, name: str, kind: str, value: Any) -> None:
        """Take in a worker's message about a run."""
        if kind == "tries":
            self.at[worker] = name
        elif kind == "held":
            del self.at[worker]
            self.held.add(name)
        elif kind == "note":
            self.console.print(f"{name}: {value}", markup=False)
        elif kind == "start":
            if name in self.elsewhere:
                self.console.print(f"{name}: taken over at {value:.0%} of its training")
            self.held.discard(name)
            self._advance(name, value, "")
        elif kind == "step":
            self._advance(name, value, "")
        elif kind == "epoch":
            done = f"epoch {value['epoch']:.0f} done"
            self.console.print(f"{name}: {done}, z-only MSE {value['val_mse']:.4f} (validation)")
        elif kind == "evaluating":
            self._advance(name, 1.0, "evaluating")
        elif kind == "done":
            self.leave(worker)
            self.done[name] = 1.0
            self.console.print(f"{name}: trained and evaluated")

    def leave(self, worker: int) -> None:
        """Note that a worker has left its run, done or not."""
        name = self.at.pop(worker, "")
        self.here.pop(name, None)
        self.held.discard(name)

    def refresh(self) -> None:
        """Show the current progress; all that the workers have said so far must have been taken in."""
        now = time.monotonic()
        if now - self.looked > LOOK_SECONDS:
            self.looked = now
            self.look_at_folders()
        # A worker says which run it tries before it does, so a sibling's run is not mistaken for another process's.
        elsewhere = {name for name in self.held if name in self.elsewhere or name not in self.at.values()}
        if not self.console.is_terminal:
            for name in sorted(elsewhere - self.elsewhere):
                self.console.print(f"{name}: trained elsewhere")
        self.elsewhere = elsewhere
        share, left = self._share(), ""
        if share > self.first:
            seconds = (now - self.started) * (1 - share) / (share - self.first)
            left = f"{seconds / 60:.1f} min left"
        self.bar.update(self.total, completed=share, note=left)
        notes = dict.fromkeys(elsewhere, "elsewhere") | self.here
        for name in self.bars.keys() - notes.keys():
            self.bar.remove_task(self.bars.pop(name))
        for name, note in notes.items():
            if name not in self.bars:
                self.bars[name] = self.bar.add_task(name, total=1.0, note="")
            self.bar.update(self.bars[name], completed=self.done[name], note=note)
        if not self.console.is_terminal and now - self.printed > LINE_SECONDS:
            self.printed = now
            others = f"; elsewhere: {', '.join(sorted(elsewhere))}" if elsewhere else ""
            self.console.print(f"all {len(self.runs)} runs: {share:.0%} done, {left or 'time left unknown'}{others}")

    def look_at_folders(self) -> None:
        """Take in the progress of the runs that no worker here is working on."""
        for name, run in self.runs.items():
            if name not in self.at.values() and self.done[name] < 1:
                self.done[name] = _share_done(run)
                if self.done[name] == 1:
                    self.held.discard(name)
                    self.console.print(f"{name}: trained and evaluated elsewhere")

    def _advance(self, name: str, share: float, note: str) -> None:
        """Note that this share of a training here is done."""
        epochs = self.runs[name].config.resolved.epochs
        self.done[name] = share * epochs / (epochs + 1)
        self.here[name] = note

    def _share(self) -> float:
        return sum(self.done[name] * cost for name, cost in self.cost.items()) / sum(self.cost.values())


def _share_done(run: Run) -> float:
    """Return the share of a run's training and evaluation that its folder shows as done."""
    return 1.0 if run.evaluated else run.epochs_done / (run.config.resolved.epochs + 1)
