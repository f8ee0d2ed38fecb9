"""Many runs, several at once, in processes that share nothing but the folder of the runs (see `worker`).

This process starts them and watches: the runs' heartbeats say what they do, and a worker that dies is started again.
"""

import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console

from pie_cli.config.run import RunConfig
from pie_cli.errors import Interrupted, PIEError
from pie_cli.jobs.display import GridDisplay
from pie_cli.jobs.failures import raise_failures
from pie_cli.jobs.place import Place
from pie_cli.jobs.process import start_process
from pie_cli.jobs.worker import POLL_SECONDS, RESTARTS, Order
from pie_cli.runs.folder import Run
from pie_cli.runtime import one_thread

STOPPED = "stopped; all training so far is kept; run the same command to go on"


def train_and_evaluate(
    configs: Sequence[RunConfig], place: Place, console: Console, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Have all runs trained and evaluated, `place.jobs` at once; finished ones are kept, interrupted ones are resumed.

    Other processes may do the same in the same folder: they share the work, and all return when all of it is done.
    `meanwhile` is called in this process once the workers have started: work that they need not wait for. Raises
    PIEError if runs have failed, after all others are done; and Interrupted on a signal to stop, after the workers have
    saved their checkpoints.
    """
    grid = _Grid([place.run(config) for config in configs], place, console)
    try:
        grid.start()
        with one_thread():  # more would wait for cores that the workers have
            meanwhile()
        with grid.display:
            grid.follow()
    except Interrupted as error:
        raise Interrupted(error.exit_code - 128, STOPPED) from error
    finally:
        grid.stop()
    raise_failures(grid.runs, grid.order.since)


class _Grid:
    """The workers of one call, by the slot that each has: a number below `jobs`, which chooses its GPU."""

    def __init__(self, runs: list[Run], place: Place, console: Console) -> None:
        self.runs, self.place = runs, place
        # The caller has fetched or prepared the images.
        self.order = Order.of(runs, replace(place, images=place.images.fetched), time.time())
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.pids = set[int]()  # of all workers, also of those that have ended
        self.idle_deaths = 0  # in a row
        self.display = GridDisplay(console, runs, lambda said: said.pid in self.pids and said.host == platform.node())

    def start(self) -> None:
        """Start a worker in each slot."""
        for slot in range(min(self.place.jobs, len(self.runs))):
            self._start(slot)

    def _start(self, slot: int) -> None:
        gpus = self.place.gpus or ("",)
        self.workers[slot] = start_process(self.order.text(), gpus[slot % len(gpus)])
        self.pids.add(self.workers[slot].pid)

    def follow(self) -> None:
        """Show what the workers do, and start those again that die, until all have ended."""
        while self.workers:
            for slot, worker in list(self.workers.items()):
                if (code := worker.poll()) is not None:
                    del self.workers[slot]
                    if code:
                        self._replace(slot, worker.pid, code)
            self.display.refresh()
            time.sleep(POLL_SECONDS if self.workers else 0)

    def _replace(self, slot: int, pid: int, code: int) -> None:
        """Start a worker that died again. Raises PIEError if worker after worker dies before it has a run.

        Those that die with a run are counted by its heartbeat, since it may pass to other processes in between.
        """
        self.display.refresh()  # what it said last
        cause = f"exit code {code}; out of memory?"
        self.display.console.print(f"a training process died ({cause}); it is started again")
        self.idle_deaths = 0 if pid in self.display.pids else self.idle_deaths + 1
        if self.idle_deaths > RESTARTS:
            advice = "run the same command to go on, with fewer `jobs` if memory is short"
            raise PIEError(f"every training process died ({cause}); {advice}")
        self._start(slot)

    def stop(self) -> None:
        """Have all workers end: one that is training saves its checkpoint."""
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.wait()
