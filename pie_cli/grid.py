"""Many runs, some at a time: each is trained and evaluated in a process of its own, and whatever exists is reused."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from torch import Tensor

from pie_cli.errors import Interrupted, PIEError
from pie_cli.models import model_name
from pie_cli.runs import Run, RunConfig

Tasks = multiprocessing.Queue  # of RunConfig, None at the end
Messages = multiprocessing.Queue  # of (run, kind, value)

STEP_COST = {"pie": 5.0, "vae": 1.0, "wae": 1.0}  # of a training step, roughly; only the time left depends on it
REPORT_SECONDS = 1.0  # between a worker's messages
LINE_SECONDS = 30.0  # between plain lines


@dataclass(frozen=True)
class Place:
    """Where a grid of runs lies and computes.

    Arguments:
        results_dir: folder of the runs.
        data_dir: folder of the data set; None stands for the cache folder.
        accelerator: as `devices.find_accelerator` returns it.
        jobs: runs at a time.
    """

    results_dir: Path
    data_dir: Path | None
    accelerator: str
    jobs: int

    def run(self, config: RunConfig) -> Run:
        """Return the run of this configuration."""
        return Run(self.results_dir / config.name, config)


def default_jobs(accelerator: str) -> int:
    """Return how many runs to train at a time: one a core on a CPU, where single threads waste least; one on a GPU."""
    return (os.cpu_count() or 1) if accelerator == "cpu" else 1


def train_and_evaluate(configs: Sequence[RunConfig], place: Place, console: Console) -> None:
    """Have every run trained and evaluated, `place.jobs` at a time; finished ones are kept, interrupted ones go on.

    Raises:
        PIEError: the first of a worker's, after the others have saved their checkpoints.
        Interrupted: on Ctrl-C or SIGTERM, likewise.
    """
    # Fresh interpreters: forking a process whose threads hold locks is not safe.
    context = multiprocessing.get_context("spawn")
    tasks: Tasks = context.Queue()
    messages: Messages = context.Queue()
    for config in configs:
        tasks.put(config)
    workers = [context.Process(target=_work, args=(tasks, place, messages), daemon=True) for _ in range(place.jobs)]
    unfinished = {config.name for config in configs}
    with _GridDisplay(console, configs) as display:
        try:
            for worker in workers:
                tasks.put(None)  # one sign of the end for each
                worker.start()
            while unfinished:
                try:
                    name, kind, value = messages.get(timeout=1.0)
                except queue.Empty:
                    _check_alive(workers)
                    continue
                if kind == "failed":
                    raise PIEError(f"{name}: {value}")
                display.show(name, kind, value)
                if kind == "done":
                    unfinished.remove(name)
        except Interrupted as error:
            message = "stopped; all that is trained is kept: the same command goes on"
            raise Interrupted(error.exit_code - 128, message) from error
        finally:
            for worker in workers:
                if unfinished:
                    worker.terminate()  # SIGTERM: one that trains saves its checkpoint
                worker.join()


def _check_alive(workers: Sequence[SpawnProcess]) -> None:
    """Raise PIEError if a worker has died without a word."""
    for worker in workers:
        if worker.exitcode not in (None, 0):
            raise PIEError(
                f"a training process died (exit code {worker.exitcode}; out of memory?); the same command goes on, "
                "with fewer --jobs if memory is short"
            )


def _work(tasks: Tasks, place: Place, messages: Messages) -> None:
    """Train and evaluate one run after another; in a process of its own."""
    import torch

    from pie_cli.allocator import keep_freed_memory
    from pie_cli.classifier import load_or_train_classifier
    from pie_cli.data import load_dataset
    from pie_cli.devices import Execution
    from pie_cli.evaluation import evaluate
    from pie_cli.interrupts import raise_on_signals
    from pie_cli.launch import open_for_training, train_run

    name = "a worker"
    try:
        raise_on_signals()
        keep_freed_memory()
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // place.jobs))
        while (config := tasks.get()) is not None:
            name = config.name
            # The caller has fetched the data and trained the classifier.
            dataset = load_dataset(config.training.dataset, place.data_dir, offline=True, report=lambda line: None)
            classifier = load_or_train_classifier(place.results_dir, dataset.train, dataset.name)
            run = open_for_training(config, place.results_dir, resume=True, overwrite=False)
            train_run(run, dataset, Execution(place.accelerator), _Messenger(name, messages))
            messages.put((name, "evaluating", None))
            evaluate(run, dataset, classifier, place.accelerator)
            messages.put((name, "done", None))
    except Interrupted:
        pass  # the caller has stopped us
    except PIEError as error:
        messages.put((name, "failed", str(error)))


class _Messenger:
    """A training's display that sends messages to the process that shows them."""

    def __init__(self, name: str, messages: Messages) -> None:
        self.name, self.messages, self.sent = name, messages, 0.0

    def __enter__(self) -> _Messenger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        self.steps = steps
        self.messages.put((self.name, "start", step / steps))

    def step(self, step: int, loss: Tensor) -> None:
        if time.monotonic() - self.sent > REPORT_SECONDS:
            self.sent = time.monotonic()
            self.messages.put((self.name, "step", step / self.steps))

    def epoch(self, row: Mapping[str, float]) -> None:
        self.messages.put((self.name, "epoch", dict(row)))


class _GridDisplay:
    """Shows each running training, and the share done and time left of all of them."""

    def __init__(self, console: Console, configs: Sequence[RunConfig]) -> None:
        self.console = console
        # Training and evaluation, in the cost of a baseline's epoch; an evaluation costs about as much as an epoch.
        self.cost = {c.name: STEP_COST[model_name(c.model)] * (c.training.epochs + 1) for c in configs}
        self.trained = {c.name: c.training.epochs / (c.training.epochs + 1) for c in configs}
        self.done = dict.fromkeys(self.cost, 0.0)
        self.first: float | None = None
        self.started = self.shown = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self.total = self.bar.add_task(f"[bold]all {len(configs)} runs", total=1.0, note="")
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _GridDisplay:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def show(self, name: str, kind: str, value: Any) -> None:
        """Take in a worker's message."""
        if kind == "epoch":
            self.console.print(
                f"{name}: epoch {value['epoch']:.0f} done, z-only MSE {value['val_mse']:.4f} (validation)"
            )
        elif kind == "done":
            self.done[name] = 1.0
            self.console.print(f"{name}: trained and evaluated")
        else:
            share = 1.0 if kind == "evaluating" else float(value)
            self.done[name] = share * self.trained[name]
        self._update(name, kind)

    def _update(self, name: str, kind: str) -> None:
        share = sum(self.done[run] * cost for run, cost in self.cost.items()) / sum(self.cost.values())
        if self.first is None:
            self.first = share  # what an earlier call had done took this one no time
        elapsed = time.monotonic() - self.started
        note = f"{elapsed * (1 - share) / (share - self.first) / 60:.1f} min left" if share > self.first else ""
        self.bar.update(self.total, completed=share, note=note)
        if name not in self.tasks:
            self.tasks[name] = self.bar.add_task(name, total=1.0, note="")
        self.bar.update(self.tasks[name], completed=self.done[name], note=kind if kind == "evaluating" else "")
        if kind == "done":
            self.bar.remove_task(self.tasks[name])
        if not self.console.is_terminal and time.monotonic() - self.shown > LINE_SECONDS:
            self.shown = time.monotonic()
            self.console.print(f"all {len(self.cost)} runs: {share:.0%} done, {note or 'time left not known yet'}")
