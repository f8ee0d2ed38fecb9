"""What the workers of a Dask cluster do: train a run in a process of its own, in a folder of their own.

The client (`cluster`) shares no folder with a worker. It asks every second how the worker's tasks are: it delivers a
run's files to a task that waits for them, and fetches its checkpoints. So a task that Dask gives to another worker,
because its first one was lost, goes on from the last checkpoint that the client has. A task whose client has asked for
nothing for minutes ends.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pie_cli.io.files import write_bytes
from pie_cli.io.provenance import git_commit, package_version
from pie_cli.jobs.process import start_process
from pie_cli.runs.heartbeat import FILE

LEASE_SECONDS = 300.0  # a client is taken for gone that has not asked for so long
POLL_SECONDS = 0.2
CHECKPOINT = "checkpoint.safetensors"
WHILE_TRAINING = ("config.json", "metrics.csv", CHECKPOINT)  # what the client keeps of a run that goes on
PACKAGES = ("torch", "numpy", "distributed")  # whose versions must be the client's

Files = dict[str, bytes]  # by their path below the results folder


def versions() -> dict[str, str]:
    """Return the versions that decide what a training computes, and whether the two sides understand each other."""
    own = {"pie": package_version(), "commit": git_commit() or "unknown", "python": sys.version.split()[0]}
    return own | {name: version(name) for name in PACKAGES}


def train(call: str, name: str, order: dict[str, Any], gpus: list[str]) -> Files:
    """Train and evaluate a run, and return the files of its folder: the whole of a Dask task.

    `call` names the client's call; `order` is that of `worker.Order`; the worker's number chooses one of `gpus`. A run
    that fails has a heartbeat that says so. Raises ChildProcessError if the process dies: Dask then tries again.
    """
    from distributed import get_worker

    worker = get_worker()
    gpu = gpus[int(worker.name) % len(gpus)] if gpus else ""
    with tempfile.TemporaryDirectory(prefix="pie-", dir=worker.local_directory) as folder:
        _tasks[call, name] = task = _Task(Path(folder), name)
        try:
            return task.work(order, gpu)
        finally:
            del _tasks[call, name]


class _Task:
    """A run in training on this worker."""

    def __init__(self, folder: Path, name: str) -> None:
        self.results_dir, self.run = folder, folder / name
        self.asked = time.monotonic()
        self.delivered, self.stopped, self.ended, self.fetched = (threading.Event() for _ in range(4))

    def work(self, order: dict[str, Any], gpu: str) -> Files:
        """Train once the client has delivered the run's files, and return what has come of it."""
        while not (self.delivered.wait(POLL_SECONDS) or self.over):
            pass
        process = start_process(
            json.dumps(order | {"place": order["place"] | {"results_dir": str(self.results_dir)}}), gpu
        )
        while process.poll() is None and not self.over:
            time.sleep(POLL_SECONDS)
        if process.poll() is None:
            process.terminate()  # its checkpoint is saved first
        if (code := process.wait()) == 0:
            return {f"{self.run.name}/{path.name}": path.read_bytes() for path in self._left()}
        self.ended.set()
        while not (self.fetched.wait(POLL_SECONDS) or self.alone):
            pass
        raise ChildProcessError(f"its process ended with exit code {code}")

    @property
    def alone(self) -> bool:
        """Whether the client seems to be gone."""
        return time.monotonic() - self.asked > LEASE_SECONDS

    @property
    def over(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.stopped.is_set() or self.alone

    def _left(self) -> list[Path]:
        """Return the files that a run has at its end, those last that mark it as trained, and then as evaluated."""
        order = ("weights.safetensors", "evaluation.npz", "evaluation.json", FILE)
        paths = [path for path in self.run.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted(paths, key=lambda path: order.index(path.name) if path.name in order else -1)


_tasks: dict[tuple[str, str], _Task] = {}  # those of this worker, by call and run


# What the client has each worker do. Dask runs it beside the tasks.


def look(call: str) -> dict[str, tuple[str, str, int]]:
    """Return of each task of a call what it does, its heartbeat, and which checkpoint it has (0: none)."""
    found = {}
    for (of, name), task in list(_tasks.items()):
        if of == call:
            task.asked = time.monotonic()
            does = "ended" if task.ended.is_set() else "trains" if task.delivered.is_set() else "waits"
            said, checkpoint = task.run / FILE, task.run / CHECKPOINT
            stamp = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            found[name] = (does, said.read_text(encoding="utf-8") if said.exists() else "", stamp)
    return found


def deliver(call: str, name: str, files: Mapping[str, bytes]) -> None:
    """Give a task the files that it goes on from."""
    task = _tasks[call, name]
    for path, content in files.items():
        (target := task.results_dir / path).parent.mkdir(exist_ok=True)
        write_bytes(target, content)
    task.delivered.set()


def fetch(call: str, name: str) -> Files:
    """Return the files of a task's run that is still in training, or that has ended without a result."""
    task = _tasks[call, name]
    ended = task.ended.is_set()
    files = {f"{name}/{file}": path.read_bytes() for file in WHILE_TRAINING if (path := task.run / file).exists()}
    if ended:
        task.fetched.set()
    return files


def stop(call: str) -> None:
    """Have the tasks of a call end as soon as their checkpoints are saved."""
    for (of, _), task in list(_tasks.items()):
        if of == call:
            task.stopped.set()
