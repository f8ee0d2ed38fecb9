"""After kill -9 at any moment, --resume gives the weights and rows of an uninterrupted training, bit for bit."""

from __future__ import annotations

import importlib
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pie_cli.io.tensors import load_tensors
from pie_cli.runs.folder import Run
from pie_cli.training import loop
from tests.commands import SMALL, Command, Done, run, start

NAME = "pie-digits-d4-eps0.01-seed0"
SIZES = f"{SMALL} --batch-size 64 --epochs 3"
TRAIN = ["train", "--dataset", "digits", "--results-dir", "results", *SIZES.split()]
STEPS = 60  # 20 an epoch


def often() -> None:
    """Write a checkpoint every seventh step: some of them far from an epoch's end."""
    loop.CHECKPOINT_STEPS = 7
    os.environ["OMP_NUM_THREADS"] = "1"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(place: str, call: int) -> None:
    """Die in this call, by number, of a function named "module:Class.function", before it does anything."""
    often()
    module, _, path = place.partition(":")
    *classes, name = path.split(".")
    owner: Any = reduce(getattr, classes, importlib.import_module(module))
    plain, calls = getattr(owner, name), 0

    def counting(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            die()
        return plain(*arguments, **named)

    setattr(owner, name, counting)


def dying_half_written(call: int) -> None:
    """Die when half of this checkpoint, by number, has reached its file."""
    often()
    plain, calls = Path.write_bytes, 0

    def counting(path: Path, content: bytes) -> int:
        nonlocal calls
        calls += path.name.startswith(".checkpoint")
        if calls == call:
            plain(path, content[: len(content) // 2])
            die()
        return plain(path, content)

    Path.write_bytes = counting  # type: ignore[assignment, method-assign]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, float]:
    """An uninterrupted run, and how long it took."""
    folder = tmp_path_factory.mktemp("whole")
    run("--version", cwd=folder)  # starts the server, whose imports are none of a command's time
    started = time.monotonic()
    done = run(*TRAIN, cwd=folder, before=often)
    assert done.code == 0, done.stderr
    return Run.open(folder / "results" / NAME), time.monotonic() - started


def check_equal(folder: Path, expected: Run) -> None:
    """Check that the run in `folder` has ended as the expected one has, and that nothing else is there."""
    found = Run.open(folder / "results" / NAME)
    assert found.weights.read_bytes() == expected.weights.read_bytes()
    rows, expected_rows = (pd.read_csv(r.folder / "metrics.csv").drop(columns="seconds") for r in (found, expected))
    pd.testing.assert_frame_equal(rows, expected_rows, check_exact=True)
    names, expected_names = ({path.name for path in r.folder.iterdir()} for r in (found, expected))
    assert names == expected_names


def resume(folder: Path) -> Done:
    done = run(*TRAIN, "--resume", cwd=folder, before=often)
    assert done.code == 0, done.stderr
    return done


@pytest.mark.parametrize("wanted", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(wanted: int, whole: tuple[Run, float], tmp_path: Path) -> None:
    """Kills at random moments of a process's life: starting up, preparing data, training, writing."""
    expected, seconds = whole
    moments, kills, folders = random.Random(0), 0, 0
    while kills < wanted:
        folder = tmp_path / str(folders)
        folder.mkdir()
        finished = False
        while not finished:
            command = start(*TRAIN, "--resume", cwd=folder, before=often)
            command.process.join(moments.uniform(0, seconds / 2) if kills < wanted else None)
            command.process.kill()
            done = command.wait()
            assert done.code in (0, -signal.SIGKILL), done.stderr
            finished = done.code == 0
            kills += not finished
        check_equal(folder, expected)
        folders += 1


WRITES: dict[str, Callable[[], None]] = {  # of the third checkpoint, at the end of the first epoch
    "half of the file": partial(dying_half_written, 3),
    "before the one before it is let go": partial(dying, "pathlib:Path.unlink", 6),
    "before it is kept as the one before": partial(dying, "pathlib:Path.hardlink_to", 2),
    "before it is flushed": partial(dying, "os:fsync", 9),
    "before its permissions": partial(dying, "pathlib:Path.chmod", 5),
    "before it takes its name": partial(dying, "pathlib:Path.replace", 5),
    "before the folder is flushed": partial(dying, "pie_cli.io.files:_sync_folder", 5),
}


@pytest.mark.parametrize("where", WRITES)
def test_killed_inside_a_checkpoint_write(where: str, whole: tuple[Run, float], tmp_path: Path) -> None:
    assert run(*TRAIN, cwd=tmp_path, before=WRITES[where]).code == -signal.SIGKILL
    unfinished = Run.open(tmp_path / "results" / NAME)
    assert not unfinished.finished
    step = 20 if where == "before the folder is flushed" else 14
    assert load_tensors(unfinished.checkpoint)[1]["step"] == step
    assert "checkpoint before it" not in resume(tmp_path).stdout  # the newest one is whole
    check_equal(tmp_path, whole[0])


@pytest.mark.parametrize("step", [0, 1, 10, 20, 21, STEPS])
def test_killed_after_a_step(step: int, whole: tuple[Run, float], tmp_path: Path) -> None:
    """Before the first step, in the middle of an epoch, at its end, before and after the last step."""
    place = "pie_cli.training.loop:TrainingState.advance" if step else "pie_cli.training.loop:_Training.step"
    killer = partial(dying, place, max(step, 1))
    assert run(*TRAIN, cwd=tmp_path, before=killer).code == -signal.SIGKILL
    resume(tmp_path)
    check_equal(tmp_path, whole[0])


@pytest.mark.parametrize(
    "place", ["pie_cli.runs.folder:Run.remove_checkpoints", "pie_cli.plots.figures:learning_curve"]
)
def test_killed_after_the_weights_were_written(place: str, whole: tuple[Run, float], tmp_path: Path) -> None:
    assert run(*TRAIN, cwd=tmp_path, before=partial(dying, place, 1)).code == -signal.SIGKILL
    assert "nothing to do" in resume(tmp_path).stdout
    check_equal(tmp_path, whole[0])


def test_resuming_after_the_end_changes_nothing(whole: tuple[Run, float]) -> None:
    finished = whole[0].folder
    before = {path: path.read_bytes() for path in finished.iterdir()}
    assert "nothing to do" in resume(finished.parent.parent).stdout
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


@pytest.mark.slow
def test_a_killed_reproduction_goes_on(tmp_path: Path) -> None:
    """All its processes are killed in the middle of the grid: trained runs are kept, and the tables are the same."""

    def reproduce(folder: Path) -> Command:
        return start("reproduce", "--dataset", "digits", "--jobs", 2, cwd=folder, before=os.setsid)

    def table(folder: Path) -> pd.DataFrame:
        return pd.read_csv(folder / "results/quick/evaluation.csv").drop(columns="training_seconds")

    for place in ("whole", "killed"):
        (tmp_path / place).mkdir()
    killed = reproduce(tmp_path / "killed")
    while len(trained := sorted(tmp_path.glob("killed/results/quick/*/weights.safetensors"))) < 3:
        assert killed.process.is_alive(), killed.wait().stderr
        time.sleep(0.05)
    assert killed.process.pid is not None
    os.killpg(killed.process.pid, signal.SIGKILL)
    kept = {path: path.read_bytes() for path in trained}
    for place in ("killed", "whole"):
        command = reproduce(tmp_path / place)
        command.process.join()
        done = command.wait()
        assert done.code == 0, done.stderr
    assert {path: path.read_bytes() for path in kept} == kept
    pd.testing.assert_frame_equal(table(tmp_path / "killed"), table(tmp_path / "whole"), check_exact=True)
