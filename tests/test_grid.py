"""Processes that share a folder: one that holds a run keeps the others out, and one that dies is replaced."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from pie_cli import runtime
from pie_cli.config.naming import run_config
from pie_cli.config.run import RunConfig
from pie_cli.data.load import ImageSource, load_dataset
from pie_cli.errors import Interrupted, PIEError
from pie_cli.io.tensors import load_tensors
from pie_cli.jobs import worker
from pie_cli.jobs.grid import train_and_evaluate
from pie_cli.jobs.place import Place
from pie_cli.metrics import classifier
from pie_cli.paper.suite import Suite
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import Heartbeat
from pie_cli.runtime import Execution, deferred_signals, one_thread, raise_on_signals
from tests import commands
from tests.commands import SMALL
from tests.conftest import call

TRAIN = f"train --dataset digits {SMALL} --epochs 5"
NAME = "pie-digits-d4-eps0.01-seed0"


@pytest.fixture
def single_thread() -> Iterator[None]:
    """Train here with one thread, as the grid's workers do: the number of threads changes the last bits."""
    with one_thread():
        yield


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals raise `Interrupted`, as in the command line."""
    previous = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    raise_on_signals()
    yield
    for signum, handler in previous.items():
        signal.signal(signum, handler)


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A `pie train` that is halted after an epoch and still holds its run."""
    command = [sys.executable, "-m", "pie_cli", *TRAIN.split(), "--results-dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not (tmp_path / NAME / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.communicate()


def holder(run: Run) -> int:
    """Return the process that holds the run, according to the kernel."""
    inode = (run.folder / ".lock").stat().st_ino
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return next(int(fields[4]) for fields in locks if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"))


class Killer(io.StringIO):
    """A console that has the process killed that holds the run, without warning: first one elsewhere, then a worker."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.killed = run, list[int]()
        self.later = threading.Thread(target=self.kill_in_the_third_epoch)

    def write(self, text: str) -> int:
        if not self.killed and "trained elsewhere" in text:
            self.kill()
            self.later.start()
        return super().write(text)

    def kill(self) -> None:
        self.killed.append(holder(self.run))
        os.kill(self.killed[-1], signal.SIGKILL)

    def kill_in_the_third_epoch(self) -> None:
        while self.run.epochs_done < 3 or "taken over" not in self.getvalue():
            time.sleep(0.01)
        self.kill()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
def test_a_lost_process_is_replaced(
    stopped: subprocess.Popen[str],
    tmp_path: Path,
    single_thread: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run passes from a killed process to the grid, and from a killed worker to another, with the same weights."""
    run = Run.open(tmp_path / NAME)
    before = {path: path.read_bytes() for path in run.folder.iterdir()}
    for extra in ("", " --resume", " --overwrite"):
        code, _, errors = call(f"{TRAIN}{extra} --results-dir {tmp_path}", capsys, monkeypatch)
        assert code == 1
        assert errors.startswith("error: another process is training or evaluating")
        assert errors.count("\n") == 1
    assert {path: path.read_bytes() for path in run.folder.iterdir()} == before

    # An untrained classifier is enough here, and takes no time.
    monkeypatch.setattr(classifier, "train_classifier", lambda *given: classifier._untrained(*given[:3]))
    classifier.load_or_train_classifier(tmp_path, load_dataset("digits").train, "digits")
    output = Killer(run)
    twice = [run.config, run.config]  # there are never more workers than runs
    train_and_evaluate(twice, Place(tmp_path, ImageSource("digits"), "cpu", jobs=2), Console(file=output, width=200))
    output.later.join()
    lines = output.getvalue().splitlines()
    assert output.killed[0] == stopped.pid
    assert output.killed[1] != stopped.pid
    telling = [line.removeprefix(f"{NAME}: ") for line in lines if line and "epoch" not in line and line[:4] != "all "]
    assert telling[0] == "trained elsewhere"
    assert telling[1].startswith("taken over at ")
    assert not telling[1].startswith("taken over at 0%")
    assert telling[2].startswith("a training process died (exit code -9")
    assert telling[3:] == ["trained and evaluated"]
    assert run.evaluated

    code, _, errors = call(f"{TRAIN} --results-dir {tmp_path / 'whole'}", capsys, monkeypatch)
    assert code == 0, errors
    whole, pieced = (
        load_tensors(folder / NAME / "weights.safetensors")[0] for folder in (tmp_path / "whole", tmp_path)
    )
    assert all(torch.equal(whole[name], pieced[name]) for name in whole)


def until(condition: Callable[[], Any]) -> Any:
    """Return what the condition returns once that is true; give up after a minute."""
    for _ in range(6_000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_worker_stops_with_whoever_started_it(tmp_path: Path) -> None:
    """It stops as if it had been asked to, so a training saves its checkpoint first."""
    options = ("--models", "pie", "--eps2", "0.01", "--recipe", "letter", "--jobs", 1, "--dataset", "digits")
    grid = commands.start("sharpness", *options, cwd=tmp_path)
    run = until(lambda: [Run.open(path.parent) for path in tmp_path.glob("results/quick/*/config.json")])[0]
    said = until(lambda: (said := run.heartbeat) and said.step and said)
    assert said.at_work
    grid.process.kill()
    until(lambda: (said := run.heartbeat) and said.state == "stopped")
    assert run.checkpoint.exists()
    until(lambda: not Path(f"/proc/{said.pid}").exists())


def noise(folder: Path) -> ImageSource:
    """Return images that train for a second an epoch, of which there are too few to test much: soon evaluated."""
    generator, sizes = np.random.default_rng(0), {"train_images": 12_800, "val_images": 8, "test_images": 3}
    arrays: dict[str, Any] = {name: generator.integers(0, 256, (of, 8, 8), np.uint8) for name, of in sizes.items()}
    np.savez(folder / "noise.npz", **arrays)
    return ImageSource(str(folder / "noise.npz"), data_dir=folder / "cache")


def grid_of(images: ImageSource, seeds: int) -> list[RunConfig]:
    """Return small runs of 300 steps that differ in their seed."""
    sizes: dict[str, Any] = {"conv_width": 4, "dense_width": 16, "dense_depth": 1, "couplings": 1, "latent_dim": 4}
    settings = images.settings(lambda: images.load(lambda line: None))
    return [run_config(**settings, epochs=3, seed=seed, **sizes) for seed in range(seeds)]


@pytest.mark.parametrize("compiler", [True, False])
def test_a_grid_compiles_if_asked_to_where_it_can(
    compiler: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "can_compile", lambda accelerator: compiler)
    monkeypatch.setattr(worker, "can_compile", lambda accelerator: compiler)
    said, images = io.StringIO(), noise(tmp_path)
    suite = Suite.prepare(Console(file=said, width=200), images, tmp_path, "cpu", compiled=True)
    assert ("finds no compiler" in said.getvalue()) is not compiler

    seen: list[Execution] = []

    def train(run: Run, dataset: object, execution: Execution, *_: object, **__: object) -> None:
        seen.append(execution)
        raise PIEError("that is all")

    monkeypatch.setattr(worker, "train_run", train)
    with one_thread():
        worker.work(worker.Order.of([suite.place.run(*grid_of(images, seeds=1))], suite.place, since=0.0))
    assert seen == [Execution("cpu", compiled=compiler)]


def test_runs_are_pinned_and_one_whose_process_dies_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two pretended GPUs: each run has one of them for itself, and the others go on without the one that fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-x")
    images = noise(tmp_path)
    place = Suite.prepare(Console(file=io.StringIO()), images, tmp_path, "cuda").place
    assert (place.jobs, place.gpus) == (2, ("3", "GPU-x"))

    configs = grid_of(images, seeds=3)
    place = replace(place, accelerator="cpu")
    runs = [place.run(config) for config in configs]
    dying = runs[0]
    seen: dict[str, set[Heartbeat]] = {run.name: set() for run in runs}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            at_work = {run.name: said for run in runs if (said := run.heartbeat) and said.at_work}
            assert len({said.gpu for said in at_work.values()}) == len(at_work)
            for name, said in at_work.items():
                seen[name].add(said)
            said = at_work.get(dying.name)
            if said and said.steps and not said.lost:
                os.kill(said.pid, signal.SIGKILL)
                time.sleep(0.1)
                tell = replace(said, lost=3)  # as if it were the fourth time
                tell.write(dying.folder)

    watching = ThreadPoolExecutor(1)
    watched = watching.submit(watch)
    printed = io.StringIO()
    with pytest.raises(PIEError, match=f"^{dying.name}: its process died 4 times.*; run the same command"):
        train_and_evaluate(configs, place, Console(file=printed, width=200))
    over.set()
    watched.result()
    assert not dying.evaluated
    assert all(run.evaluated for run in runs[1:])
    assert not any(run.heartbeat for run in runs[1:])
    assert {said.gpu for of in seen.values() for said in of} == {"3", "GPU-x"}
    for of in seen.values():
        assert len({said.gpu for said in of}) == 1  # a run begins and ends on one
    assert "it is started again" in printed.getvalue()


def test_a_signal_and_its_echo_are_one(handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches parent and child, and the parent passes it on again: the checkpoint must not be lost."""
    with deferred_signals() as signal_number:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert signal_number() == signal.SIGINT
        monkeypatch.setattr(runtime, "ECHO_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
