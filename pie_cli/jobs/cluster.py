"""Many runs on the workers of a Dask cluster, which need not share a folder with this process.

Each run is a task (`remote.train`). This process keeps the runs' folders: it holds their locks, gives each task the
files that it goes on from, and keeps the heartbeats and checkpoints that it fetches, so that Dask can give a run to
another worker when one is lost.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pie_cli.config.run import RunConfig
from pie_cli.errors import Interrupted, PIEError
from pie_cli.io.files import parse_json, write_bytes
from pie_cli.jobs import remote
from pie_cli.jobs.display import GridDisplay
from pie_cli.jobs.failures import raise_failures
from pie_cli.jobs.grid import STOPPED
from pie_cli.jobs.place import Cluster, Place
from pie_cli.jobs.worker import POLL_SECONDS, RESTARTS, Order
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import Heartbeat, tell_failure
from pie_cli.runtime import one_thread, shielding

if TYPE_CHECKING:
    from distributed import Client, Future

CHECKPOINT_SECONDS = 30.0  # between two checkpoints of a run that are fetched while it is trained
STOP_SECONDS = 60.0  # for the tasks to save their last checkpoints
CONNECT_SECONDS = 15


def train_on_cluster(
    configs: Sequence[RunConfig], place: Place, console: Console, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Have all runs trained and evaluated by the workers of a cluster; the rest is as in `train_and_evaluate`.

    `meanwhile` is called first: the classifiers that it trains go with each run. Raises Held if another process has one
    of the runs, PIEError if the scheduler is not reached or lost, or a worker has other versions than this process.
    """
    with one_thread():
        meanwhile()
    assert place.cluster
    runs = [run for run in map(place.run, configs) if not run.evaluated]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.lock())
        client = stack.enter_context(_connected(place.cluster, place.jobs))
        console.print(f"the dashboard of the cluster: {_dashboard(client)}")
        call = _Call(client, runs, place, console)
        try:
            with call.display:
                call.submit()
                call.follow()
        except Interrupted as error:
            raise Interrupted(error.exit_code - 128, STOPPED) from error
        finally:
            call.stop()
    raise_failures(runs, call.since)


@contextmanager
def _connected(cluster: Cluster, jobs: int) -> Iterator[Client]:
    """Connect to the scheduler, or to one of our own with so many workers."""
    from distributed import Client, LocalCluster

    for logger in ("distributed", "distributed.client"):  # what is lost is told in our own words
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        scheduler: Any = cluster.scheduler
        if cluster.is_local:
            # Memory is not limited: the trainings have it, not the workers.
            options = {"threads_per_worker": 1, "memory_limit": None, "silence_logs": logging.CRITICAL}
            with shielding():
                scheduler = LocalCluster(n_workers=jobs, dashboard_address="127.0.0.1:0", **options)
            stack.enter_context(scheduler)
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS))
        except (OSError, ValueError, ImportError) as error:
            problem = str(error).partition("\n")[0] or "it does not answer"
            raise PIEError(f"`scheduler` {cluster.scheduler} is not reached: {problem}; is it running?") from error
        yield client


def _dashboard(client: Client) -> str:
    try:
        return str(client.dashboard_link)
    except KeyError:
        return "it has none"


def check_versions(worker: str, theirs: dict[str, str] | Exception) -> None:
    """Raise PIEError if a worker cannot run this program, or has other versions of what decides a result."""
    if isinstance(theirs, Exception):
        problem = f"cannot run this program ({theirs})"
    else:
        mine = remote.versions()
        known = [name for name in mine if "unknown" not in (mine[name], theirs[name])]
        differing = [f"{name} {theirs[name]}, not {mine[name]}" for name in known if mine[name] != theirs[name]]
        problem = f"has {'; '.join(differing)}" if differing else ""
    if problem:
        raise PIEError(f"the worker {worker} {problem}; install there what is installed here")


class _Call:
    """The runs of one call, and the tasks that train them."""

    def __init__(self, client: Client, runs: list[Run], place: Place, console: Console) -> None:
        assert place.cluster
        self.client, self.place, self.console, self.cluster = client, place, console, place.cluster
        self.name, self.since = uuid.uuid4().hex, time.time()
        self.runs = {run.name: run for run in runs}
        self.futures: dict[str, Future] = {}
        self.workers = set[str]()  # those whose versions are known to be right
        self.begun = set[str]()  # the runs whose files have been delivered at least once
        self.kept = dict[str, tuple[int, float]]()  # the checkpoint of each run that was fetched last, and when
        self.display = GridDisplay(console, runs, lambda said: True)

    def submit(self) -> None:
        """Submit a task for each run, those that take longest first, as they come."""
        gpus = list(self.place.gpus) if self.cluster.is_local else []
        place = replace(self.place, images=self.place.images.anywhere, accelerator=self.cluster.device)
        for name, run in self.runs.items():
            order = json.loads(Order.of([run], place, self.since).text())
            # A run whose process dies is given up by its worker, which says so, before Dask gives it up.
            self.futures[name] = self.client.submit(
                remote.train, self.name, name, order, gpus, key=f"{name}-{self.name}", retries=RESTARTS + 1, pure=False
            )

    def follow(self) -> None:
        """Keep what the tasks do, and what has come of them, until all are done. Raises PIEError if the client is."""
        waits = False
        while self.futures:
            self._look()
            if not (self.workers or waits):
                self.console.print("the cluster has no worker yet; waiting for one")
                waits = True
            for name, future in list(self.futures.items()):
                if future.done():
                    del self.futures[name]
                    self._take(self.runs[name], future)
            self.display.refresh()
            time.sleep(POLL_SECONDS if self.futures else 0)

    def stop(self) -> None:
        """Have the tasks that are left end, and keep their last checkpoints."""
        if not self.futures:
            return
        deadline = time.monotonic() + STOP_SECONDS
        with suppress(PIEError):  # a scheduler that is lost cannot be told; the tasks end by themselves
            self.client.cancel(list(self.futures.values()), force=True)
            self._ask(remote.stop, self.name)
            while self._look() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS / 10)

    def _look(self) -> int:
        """Attend to the tasks that run, and return how many do."""
        found = self._ask(remote.look, self.name)
        self._check(list(found.keys() - self.workers))
        running = {
            worker: tasks for worker, tasks in found.items() if worker in self.workers and isinstance(tasks, dict)
        }
        for worker, tasks in running.items():
            for name, (does, said, checkpoint) in tasks.items():
                self._attend(worker, self.runs[name], does, said, checkpoint)
        return sum(map(len, running.values()))

    def _check(self, new: list[str]) -> None:
        """Check the versions of workers, before a task there is given anything."""
        for worker, theirs in (self._ask(remote.versions, workers=new) if new else {}).items():
            if not isinstance(theirs, OSError):  # it has gone
                check_versions(worker, theirs)
                self.workers.add(worker)

    def _ask(self, function: Callable[..., Any], *arguments: Any, workers: list[str] | None = None) -> dict[str, Any]:
        """Return what a function of `remote` returns on each worker, or its error. Raises PIEError without a scheduler.

        The workers are all, unless some are named.
        """
        try:
            return dict(self.client.run(function, *arguments, workers=workers, on_error="return"))
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> PIEError:
        self.futures.clear()  # there is nobody who could stop them; they end by themselves
        return PIEError(f"`scheduler` {self.cluster.scheduler} is lost; run the same command to go on")

    def _attend(self, worker: str, run: Run, does: str, said: str, checkpoint: int) -> None:
        """Give a task what it waits for; keep its heartbeat and, if it is time, its checkpoint."""
        if does == "waits":
            if run.name in self.begun:
                self.console.print(f"{run.name}: its worker or its process was lost; it goes on at {worker}")
            self.begun.add(run.name)
            self._ask(remote.deliver, self.name, run.name, self._files(run), workers=[worker])
            return
        if said:  # by the clock here, since its process answers
            replace(Heartbeat.of(parse_json(said)), time=time.time()).write(run.folder)
        last, when = self.kept.get(run.name, (0, 0.0))
        due = checkpoint != last and time.monotonic() - when > CHECKPOINT_SECONDS
        if due or does == "ended":
            files = self._ask(remote.fetch, self.name, run.name, workers=[worker])[worker]
            if isinstance(files, dict):  # else the worker has just been lost
                self._keep(files)
                self.kept[run.name] = (checkpoint, time.monotonic())

    def _files(self, run: Run) -> remote.Files:
        """Return what a task goes on from: the run's files, and the classifiers that judge its samples."""
        folder = self.place.results_dir
        paths = [*run.files, *folder.glob("classifier-*.safetensors")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}

    def _keep(self, files: remote.Files) -> None:
        for path, content in files.items():
            write_bytes(self.place.results_dir / path, content)

    def _take(self, run: Run, future: Future) -> None:
        """Keep the result of a task that is done, or why there is none."""
        if future.status == "finished":
            self._keep(future.result())
            if run.finished:
                run.remove_checkpoints()
        elif future.status == "error":
            tell_failure(run.folder, _reason(future.exception()))
        else:
            raise self._lost()


def _reason(error: BaseException) -> str:
    """Return why Dask has given a task up."""
    from distributed import KilledWorker

    return f"its worker was lost {RESTARTS + 1} times" if isinstance(error, KilledWorker) else str(error)
