"""The progress of many runs, from their heartbeats: a live bar for each in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import Heartbeat, remove_heartbeat
from pie_cli.training.display import LINE_SECONDS

# Of a training step, roughly; only the time left depends on it.
STEP_COST = {"pie": 5.0, "vae": 1.0, "wae": 1.0, "rae": 1.0}


class GridDisplay:
    """Shows each run in training, here or elsewhere, and the share done and the time left of all runs.

    The share done counts all work, whoever does it; the time left follows from the work done since this display began.
    Only a terminal has bars.
    """

    def __init__(self, console: Console, runs: Sequence[Run], is_here: Callable[[Heartbeat], bool]) -> None:
        """`is_here` tells the heartbeats of the processes that this one has started from those of others."""
        self.console, self.is_here = console, is_here
        # Training and evaluation, in units of a baseline's epoch; an evaluation costs about as much as an epoch.
        self.cost = {run.name: STEP_COST[run.config.model_name] * (run.config.resolved.epochs + 1) for run in runs}
        self.done = {run.name: share_done(run, run.heartbeat) for run in runs}
        self.open = {run.name: run for run in runs if not run.evaluated}  # those that are not seen to be done
        self.first = self._share()  # what an earlier call did took this one no time
        self.started = self.printed = time.monotonic()
        self.pids = set[int]()  # the processes that have been seen at work
        self.told: dict[str, set[str]] = {}  # what has been said of each run
        self.elsewhere = set[str]()
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self.total = self.bar.add_task(f"[bold]all {len(self.cost)} runs", total=1.0, note="")
        self.bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def refresh(self) -> None:
        """Show what the heartbeats say now."""
        notes: dict[str, str] = {}
        for name, run in list(self.open.items()):
            evaluated, said = run.evaluated, run.heartbeat
            here = said is not None and self.is_here(said)
            self.done[name] = share_done(run, said)
            if said and here:
                self._tell(name, said)
            elif said and said.at_work and name not in self.elsewhere:
                self.elsewhere.add(name)
                self._say(name, "trained elsewhere", only_in_lines=True)
            if said and said.at_work:
                notes[name] = "evaluating" * (said.state == "evaluating") if here else "elsewhere"
            if evaluated and not (said and here and said.at_work):  # whose last heartbeat is still to come
                del self.open[name]
                self._say(name, "trained and evaluated" + " elsewhere" * (not here))
                if here:
                    remove_heartbeat(run.folder)
        self._draw(notes)

    def _tell(self, name: str, said: Heartbeat) -> None:
        """Print what is new in the heartbeat of a process here."""
        self.pids.add(said.pid)
        if name in self.elsewhere and said.steps:
            self.elsewhere.remove(name)
            self._say(name, f"taken over at {said.progress:.0%} of its training")
        if said.note:
            self._say(name, said.note)
        if said.val_mse is not None:
            self._say(name, f"epoch {said.epoch} done, z-only MSE {said.val_mse:.4f} (validation)")
        if said.state == "failed":
            self._say(name, f"failed: {said.reason}")

    def _say(self, name: str, line: str, only_in_lines: bool = False) -> None:
        """Print a line about a run, unless it has been printed before."""
        told = self.told.setdefault(name, set())
        if line not in told and not (only_in_lines and self.console.is_terminal):
            self.console.print(f"{name}: {line}", markup=False)
        told.add(line)

    def _draw(self, notes: dict[str, str]) -> None:
        """Draw the bars of the runs that have a note, and that of all; without a terminal, print a line at times."""
        now, share, left = time.monotonic(), self._share(), ""
        if share > self.first:
            left = f"{(now - self.started) * (1 - share) / (share - self.first) / 60:.1f} min left"
        self.bar.update(self.total, completed=share, note=left)
        for name in self.bars.keys() - notes.keys():
            self.bar.remove_task(self.bars.pop(name))
        for name, note in notes.items():
            if name not in self.bars:
                self.bars[name] = self.bar.add_task(name, total=1.0, note="")
            self.bar.update(self.bars[name], completed=self.done[name], note=note)
        if not self.console.is_terminal and now - self.printed > LINE_SECONDS:
            self.printed = now
            elsewhere = sorted(name for name, note in notes.items() if note == "elsewhere")
            others = f"; elsewhere: {', '.join(elsewhere)}" if elsewhere else ""
            self.console.print(f"all {len(self.cost)} runs: {share:.0%} done, {left or 'time left unknown'}{others}")

    def _share(self) -> float:
        return sum(self.done[name] * cost for name, cost in self.cost.items()) / sum(self.cost.values())


def share_done(run: Run, said: Heartbeat | None) -> float:
    """Return the share of a run's training and evaluation that is done."""
    if run.evaluated:
        return 1.0
    epochs = run.config.resolved.epochs
    done = 1.0 if run.finished else said.progress if said and said.steps else run.epochs_done / epochs
    return done * epochs / (epochs + 1)
