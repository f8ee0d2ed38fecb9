"""Many runs, several at once, in processes that share nothing but the folder of the runs.

There is no list of who does what. Each worker goes through the runs, trains and evaluates the first one that is neither
finished nor locked by another process, and starts over. If other processes hold all the rest, it waits until they
finish, or until the kernel frees the lock of one that died; it then resumes that run from its checkpoint. So workers
can be added and lost at any time, on one machine or on several (see `locks` for the file systems).
"""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource
from pie_cli.errors import Interrupted, PIEError, mendable
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.io.locks import Held
from pie_cli.jobs.display import GridDisplay
from pie_cli.metrics.realism import Panel
from pie_cli.runs.find import run_of
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution, compute_in_float32, cores, keep_freed_memory, one_thread, raise_on_signals
from pie_cli.training.display import Display
from pie_cli.training.launch import train_run

POLL_SECONDS = 1.0  # between two looks at runs that other processes hold
REPORT_SECONDS = 1.0  # between a worker's messages


@dataclass(frozen=True)
class Place:
    """What a grid of runs is trained on, where it is stored, and where it computes."""

    results_dir: Path  # folder of the runs
    images: ImageSource
    accelerator: str  # as `find_accelerator` returns it
    jobs: int  # runs at once

    def run(self, config: RunConfig) -> Run:
        """Return the run of this configuration."""
        return run_of(config, self.results_dir)


def default_jobs(accelerator: str) -> int:
    """Return how many runs to train at once: one per core on a CPU, where single threads waste least; one on a GPU."""
    return cores() if accelerator == "cpu" else 1


def train_and_evaluate(
    configs: Sequence[RunConfig], place: Place, console: Console, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Have all runs trained and evaluated, `place.jobs` at once; finished ones are kept, interrupted ones are resumed.

    Other processes may do the same in the same folder: they share the work, and all return when all of it is done.
    `meanwhile` is called in this process once the workers have started: work that they need not wait for. Raises the
    first PIEError of a worker, after the others have saved their checkpoints; PIEError if all workers have died; and
    Interrupted on a signal to stop, also after they have saved.
    """
    runs = [place.run(config) for config in configs]
    # Fresh interpreters: forking a process whose threads hold locks is not safe.
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    with GridDisplay(console, runs) as display:
        try:
            for _ in range(min(place.jobs, len(runs))):
                # A pipe for each: a shared queue has a lock, which a worker that is killed may hold for ever.
                messages, end = context.Pipe(duplex=False)
                worker = context.Process(target=_work, args=(runs, place, end), daemon=True)
                worker.start()
                end.close()
                workers[messages] = worker
            with one_thread():  # more would wait for cores that the workers have
                meanwhile()
            _follow(workers, display)
        except Interrupted as error:
            message = "stopped; all training so far is kept; run the same command to go on"
            raise Interrupted(error.exit_code - 128, message) from error
        finally:
            for worker in workers.values():
                worker.terminate()  # SIGTERM: a worker that is training saves its checkpoint
            for worker in workers.values():
                worker.join()


def _follow(workers: dict[Connection, SpawnProcess], display: GridDisplay) -> None:
    """Show what the workers do, and remove each that ends, until none is left. Raises PIEError if one failed."""
    exit_codes = []
    while workers:
        ready = wait(list(workers), timeout=POLL_SECONDS)
        while ready:
            for messages in ready:
                assert isinstance(messages, Connection)
                number = messages.fileno()
                try:
                    name, kind, value = messages.recv()
                except EOFError:
                    worker = workers.pop(messages)
                    messages.close()
                    worker.join()
                    exit_codes.append(worker.exitcode)
                    display.leave(number)
                    if worker.exitcode and workers:
                        cause = f"exit code {worker.exitcode}; out of memory?"
                        display.console.print(f"a training process died ({cause}); the others take over its run")
                    continue
                if kind == "failed":
                    value.args = (f"{name}: {value}" if name else str(value),)
                    raise value
                display.take_in(number, name, kind, value)
            ready = wait(list(workers), timeout=0)
        display.refresh()
    if all(exit_codes):  # a worker that ends well has seen that all runs are done
        raise PIEError(
            f"every training process died (exit code {exit_codes[-1]}; out of memory?); run the same command to go on, "
            "with fewer `jobs` if memory is short"
        )
    display.look_at_folders()


def _work(runs: Sequence[Run], place: Place, end: Connection) -> None:
    """Train and evaluate runs until all are done, here or elsewhere; this is a worker's whole process."""

    @cache
    def data() -> Dataset:
        # The caller has fetched or prepared the images.
        return place.images.fetched.load(lambda line: None)

    @cache
    def judged(quick: bool) -> tuple[Dataset, Panel]:
        dataset = data().quick if quick else data()
        return dataset, Panel.load_or_train(place.results_dir, dataset)  # waits if the caller is still training it

    def take(run: Run) -> bool:
        """Train and evaluate the run, unless another process holds it; return whether this process held it."""
        messenger.name = run.name
        messenger.send("tries")
        try:
            with run.lock():
                if not run.evaluated:  # another process may just have done it
                    train_run(run, data(), Execution(place.accelerator), messenger)
                    messenger.send("evaluating")
                    evaluate(run, *judged(run.config.quick), place.accelerator)
                    messenger.send("done")
                return True
        except Held:
            messenger.send("held")
            return False

    messenger = _Messenger(end)
    try:
        raise_on_signals()
        keep_freed_memory()
        compute_in_float32()
        if place.accelerator == "cpu":
            # The number of threads decides the last bits of a result, so neither --jobs nor the machine may decide it;
            # and one thread per run makes the most of many cores.
            torch.set_num_threads(1)
        while unfinished := [run for run in runs if not run.evaluated]:
            if not any(take(run) for run in unfinished):  # `any` stops at the first one, and the loop starts over
                time.sleep(POLL_SECONDS)
    except Interrupted as error:
        sys.exit(error.exit_code)
    except (PIEError, OSError) as error:
        with suppress(Interrupted):  # another worker has failed too, and this one is asked to stop
            messenger.send("failed", mendable(error))
        sys.exit(1)


class _Messenger(Display):
    """A training's display in a worker: it sends (run, kind, value) to the process that shows them."""

    def __init__(self, end: Connection) -> None:
        self.end, self.name, self.sent = end, "", 0.0

    def send(self, kind: str, value: Any = None) -> None:
        """Send a message about the run that the worker is working on."""
        try:
            self.end.send((self.name, kind, value))
        except BrokenPipeError:
            # The process that started this one is gone: stop as it would have asked, with a checkpoint.
            signal.raise_signal(signal.SIGTERM)

    def note(self, line: str) -> None:
        self.send("note", line)

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        self.steps = steps
        self.send("start", step / steps)

    def step(self, step: int, loss: Tensor) -> None:
        if time.monotonic() - self.sent > REPORT_SECONDS:
            self.sent = time.monotonic()
            self.send("step", step / self.steps)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.send("epoch", dict(row))
