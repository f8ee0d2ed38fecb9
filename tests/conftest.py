"""Fixtures and helpers that several tests share."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import nn

if hasattr(signal, "SIGHUP"):  # as in a terminal, even under nohup: `runtime` looks when it is imported
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

from pie_cli import PIE, PIEConfig
from pie_cli.cli import app as cli
from pie_cli.data.base import Dataset
from pie_cli.data.load import load_dataset
from pie_cli.errors import Interrupted
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution
from pie_cli.training.loop import train


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """The same random numbers for every test, whatever ran before it."""
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


# Files that take half a minute or more, the longest first; the others go out in the order of their names.
LONGEST = ["reproduce", "kill", "grid", "cluster", "cli", "models", "training", "distributed", "surroundings", "claims"]
LONGEST += ["export", "own_images", "signals", "determinism"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one at the end."""
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


M = TypeVar("M", bound=nn.Module)


def randomise(module: M, std: float = 0.2) -> M:
    """Give every parameter a random value: fresh networks end in zeros and would test little."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(std * torch.randn_like(parameter))
    return module


def small_pie(**changes: object) -> PIE:
    """Return a PIE of 1×8×8 images, small enough for its whole Jacobian, with random weights."""
    sizes = {"image_shape": (1, 8, 8), "latent_dim": 3, "linear_dims": (7,), "eps2": 0.04}
    widths = {"conv_width": 4, "dense_width": 8, "dense_depth": 1}
    model = PIE(PIEConfig(**{**sizes, **widths, **changes}))  # type: ignore[arg-type]
    randomise(model)
    return model


def pie(*arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "pie_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def call(arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Run the command line inside this process, which saves its start; return exit code, stdout and stderr."""
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(sys, "argv", ["pie", *arguments.split()])
    code = 0
    try:
        cli.main()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    for signum, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
        signal.signal(signum, handler)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line inside this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda arguments: call(arguments, capsys, monkeypatch)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits", report=lambda line: None)


@pytest.fixture(scope="session")
def whole(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run that was trained without interruption; tests copy it before they change it."""
    from tests.test_training import silent, small_run

    run = small_run(tmp_path_factory.mktemp("whole") / "run", epochs=2)
    train(run, digits, Execution("cpu"), silent())
    return run


@pytest.fixture(scope="session")
def interrupted(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same, interrupted in the first epoch and at its end: checkpoints of steps 7 and 10, a row of metrics."""
    from tests.test_training import Stopping, small_run

    run = small_run(tmp_path_factory.mktemp("interrupted") / "run", epochs=2)
    for step in (7, 10):
        with pytest.raises(Interrupted):
            train(run, digits, Execution("cpu"), Stopping(step, signal.SIGINT))
    return run
