"""A Dask cluster whose workers share no folder: what is lost with a worker, what stays when the call ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pie_cli.errors import PIEError, UsageError
from pie_cli.io.tensors import load_tensors
from pie_cli.jobs import cluster, place, remote
from pie_cli.jobs.cluster import train_on_cluster
from pie_cli.jobs.place import Cluster, Place
from pie_cli.runs.heartbeat import Heartbeat
from pie_cli.runtime import Execution, one_thread
from pie_cli.training.loop import train
from tests import commands
from tests.test_grid import grid_of, noise, until
from tests.test_training import same, silent

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")


def started(module: str, *options: str) -> subprocess.Popen[bytes]:
    """Start one of Dask's own commands, without what it logs."""
    command = [sys.executable, "-m", module, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[int, Path]]]:
    """The address of a scheduler, and the folders of its two workers by process."""
    about = tmp_path_factory.mktemp("scheduler") / "about.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(about)]
    processes = [started("distributed.cli.dask_scheduler", *options)]
    address = until(lambda: about.exists() and about.read_text() and json.loads(about.read_text())["address"])
    folders = {}
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
        processes.append(started("distributed.cli.dask_worker", address, *options))
        folders[processes[-1].pid] = folder
    yield address, folders
    for process in processes:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def owner(said: Heartbeat) -> int:
    """Return the worker whose process a heartbeat is of."""
    return int(Path(f"/proc/{said.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_lost_workers_run_goes_on_elsewhere(
    workers: tuple[str, dict[int, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its last checkpoint, to the weights of an undisturbed run."""
    address, folders = workers
    monkeypatch.setattr(cluster, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.1)
    images = noise(tmp_path)
    results = Place(tmp_path, images, "cpu", 0, cluster=Cluster(address, "cpu"))
    (config,) = grid_of(images, seeds=1)
    run, killed = results.run(config), dict[int, tuple[Heartbeat, int]]()

    def kill() -> None:
        until(run.checkpoint.exists)
        said = until(lambda: (said := run.heartbeat) and said.at_work and said.steps and said)
        killed[owner(said)] = said, load_tensors(run.checkpoint)[1]["step"]
        os.kill(owner(said), signal.SIGKILL)

    printed = io.StringIO()
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        train_on_cluster([config], results, Console(file=printed, width=200))
        killing.result()
    ((worker, (said, step)),) = killed.items()
    assert step in (100, 200)  # of 300
    assert f"{run.name}: its worker or its process was lost; it goes on at tcp" in printed.getvalue()
    assert printed.getvalue().count(f"{run.name}: trained and evaluated\n") == 1
    assert run.evaluated
    assert not run.checkpoint.exists()
    until(lambda: not Path(f"/proc/{said.pid}").exists())  # it ends with its worker
    (other,) = folders.keys() - {worker}
    assert not list(folders[other].rglob("*.safetensors"))

    undisturbed = replace(results, results_dir=tmp_path / "whole").run(config)
    with one_thread():
        train(undisturbed, images.load(), Execution("cpu"), silent())
    assert same(load_tensors(run.weights)[0], load_tensors(undisturbed.weights)[0])


def test_a_signal_leaves_nothing_running(workers: tuple[str, dict[int, Path]], tmp_path: Path) -> None:
    """The tasks save their checkpoints, which travel back before the call ends."""
    address, folders = workers
    images = ("--dataset", noise(tmp_path).name, "--data-dir", "cache")
    options = ("--models", "pie", "--eps2", "0.01", "--recipe", "letter", *images, "--scheduler", address)
    call = commands.start("sharpness", *options, cwd=tmp_path)
    name = until(lambda: [path.parent for path in tmp_path.glob("results/quick/*/heartbeat.json")])[0]
    said = until(lambda: (said := Heartbeat.read(name)) and said.step and said)
    worker = owner(said)
    os.kill(call.process.pid or 0, signal.SIGINT)
    done = call.wait()
    assert done.code == 128 + signal.SIGINT
    assert done.stderr == "error: stopped; all training so far is kept; run the same command to go on\n"
    assert (name / "checkpoint.safetensors").exists()
    stopped = Heartbeat.read(name)
    assert stopped
    assert stopped.state == "stopped"
    assert children(worker) == []
    assert not list(folders[worker].rglob("*.safetensors"))


def test_other_versions_are_refused(
    workers: tuple[str, dict[int, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = noise(tmp_path)
    results = Place(tmp_path, images, "cpu", 0, cluster=Cluster(workers[0], "cpu"))
    monkeypatch.setattr(remote, "version", lambda name: "0.1")
    with pytest.raises(
        PIEError, match=r"^the worker tcp://127.* has torch .*, not 0.1; .* install there what"
    ) as error:
        train_on_cluster(grid_of(images, seeds=1), results, Console(file=io.StringIO()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "xyz://127.0.0.1"])
def test_a_scheduler_that_does_not_answer(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(PIEError, match=f"^`scheduler` {address} is not reached: [^\n]*; is it running"),
        cluster._connected(Cluster(address, "cpu"), 1),
    ):
        pass


def test_without_the_extra_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'pseudo-invertible-encoder\[cluster\]'"):
        Cluster.of("local", "cpu", None)


def test_a_task_ends_without_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LEASE_SECONDS", 0.5)
    with pytest.raises(ChildProcessError):
        remote._Task(tmp_path, "run").work({"place": {}}, "")
