"""Processes that share a folder: one that holds a run keeps the others out, and one that dies is replaced."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pie_cli import runtime
from pie_cli.data.load import ImageSource, load_dataset
from pie_cli.errors import Interrupted
from pie_cli.io.tensors import load_tensors
from pie_cli.jobs.grid import Place, _Messenger, train_and_evaluate
from pie_cli.metrics import classifier
from pie_cli.runs.folder import Run
from pie_cli.runtime import deferred_signals, one_thread, raise_on_signals
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
    """A console that kills, without warning, the process that holds the run: first one elsewhere, then a worker."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.triggers, self.killed = run, ["trained elsewhere", "epoch 3 done"], list[int]()

    def write(self, text: str) -> int:
        if self.triggers and self.triggers[0] in text:
            self.triggers.pop(0)
            self.killed.append(holder(self.run))
            os.kill(self.killed[-1], signal.SIGKILL)
        return super().write(text)


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


def test_a_worker_stops_with_whoever_started_it(handlers: None) -> None:
    """It stops as if it had been asked to, so a training saves its checkpoint first."""
    messages, end = Pipe(duplex=False)
    messages.close()
    with deferred_signals() as signal_number:
        _Messenger(end).send("step", 0.5)
        assert signal_number() == signal.SIGTERM


def test_a_signal_and_its_echo_are_one(handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches parent and child, and the parent passes it on again: the checkpoint must not be lost."""
    with deferred_signals() as signal_number:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert signal_number() == signal.SIGINT
        monkeypatch.setattr(runtime, "ECHO_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
