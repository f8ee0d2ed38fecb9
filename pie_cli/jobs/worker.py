"""The process that trains and evaluates runs, one after the other.

There is no list of who does what. A worker goes through the runs, trains and evaluates the first one that is neither
finished, nor failed, nor locked by another process, and starts over. If other processes hold all the rest, it waits
until they finish, or until the kernel frees the lock of one that died; it then resumes that run from its checkpoint. So
workers can be added and lost at any time, on one machine or on several (see `locks` for the file systems). What it does
is told by the runs' heartbeats alone.
"""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from pydantic import TypeAdapter

from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.errors import Interrupted, PIEError, mendable
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.io.locks import Held
from pie_cli.jobs.failures import failed
from pie_cli.jobs.place import Place
from pie_cli.jobs.process import receive_order
from pie_cli.metrics.realism import Panel
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import reason_of, remove_heartbeat, tell_failure
from pie_cli.runtime import Execution, can_compile, find_accelerator, keep_freed_memory, raise_on_signals
from pie_cli.training.display import Display
from pie_cli.training.launch import train_run

POLL_SECONDS = 1.0  # between two looks at runs that other processes hold
RESTARTS = 3  # of a run whose process has died; then it has failed


@dataclass(frozen=True)
class Order:
    """What a worker is to do: the configurations of runs, as config.json has them; where; and since when.

    A run that has failed since then is left alone, whoever tried.
    """

    configs: list[dict[str, Any]]
    place: Place
    since: float

    @classmethod
    def of(cls, runs: list[Run], place: Place, since: float) -> Order:
        """Return the order to train and evaluate these runs."""
        return cls([run.config.to_dict() | {"images": run.config.images} for run in runs], place, since)

    def text(self) -> str:
        """Return it as JSON on one line."""
        return TypeAdapter(Order).dump_json(self).decode()

    @classmethod
    def read(cls, text: str) -> Order:
        """Return what `text` has written."""
        return TypeAdapter(Order).validate_json(text)

    @property
    def runs(self) -> list[Run]:
        """The runs themselves."""
        return [self.place.run(RunConfig.from_dict(config)) for config in self.configs]


def work(order: Order) -> None:
    """Train and evaluate the runs until each is done or has failed, here or elsewhere."""
    given_up = set[str]()  # a full disk may keep a heartbeat from telling of a failure

    @cache
    def accelerator() -> str:
        found = find_accelerator(order.place.accelerator)
        if found == "cpu":
            # The number of threads decides the last bits of a result, so neither --jobs nor the machine may decide it;
            # and one thread per run makes the most of many cores.
            torch.set_num_threads(1)
        return found

    @cache
    def data() -> Dataset:
        return order.place.images.load(lambda line: None)

    def judge(run: Run) -> None:
        dataset = data().quick if run.config.quick else data()
        panel = Panel.load_or_train(order.place.results_dir, dataset)  # waits if another process is still training it
        evaluate(run, dataset, panel, accelerator())

    def take(run: Run) -> bool:
        """Train and evaluate the run, unless another process holds it; return whether this process held it."""
        try:
            with run.lock():
                if not run.evaluated:  # another process may just have done it
                    count_deaths(run)
                    execution = Execution(accelerator(), compiled=order.place.compiled and can_compile(accelerator()))
                    train_run(run, data(), execution, Display(), evaluate=lambda: judge(run))
        except Held:
            return False
        except Exception as error:
            given_up.add(run.name)
            if not failed(run, order.since):  # it failed before its heart could beat
                tell_failure(run.folder, reason_of(error))
            if mendable(error) is None:
                traceback.print_exc()
        return True

    def count_deaths(run: Run) -> None:
        """Raise PIEError if too many processes have died with the run since the order; of earlier ones, start anew."""
        if (last := run.heartbeat) and last.time < order.since:
            remove_heartbeat(run.folder)
        elif last and last.deaths > RESTARTS:
            raise PIEError(f"its process died {last.deaths} times; out of memory?")

    def open_runs() -> list[Run]:
        return [run for run in order.runs if not (run.evaluated or run.name in given_up or failed(run, order.since))]

    while left := open_runs():
        if not any(take(run) for run in left):  # `any` stops at the first one, and the loop starts over
            time.sleep(POLL_SECONDS)


def main() -> None:
    """Be a worker."""
    try:
        raise_on_signals()
        keep_freed_memory()
        work(Order.read(receive_order()))
    except Interrupted as error:
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
