"""Two generations of checkpoints: one that is damaged falls back to the one before it, bit for bit."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from pie_cli.data.base import Dataset
from pie_cli.errors import PIEError
from pie_cli.io.tensors import load_tensors, save_tensors
from pie_cli.jobs.display import GridDisplay
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import FILE, Heart
from pie_cli.runtime import Execution
from pie_cli.training.display import Beating, Display
from pie_cli.training.loop import train
from tests import commands
from tests.conftest import call
from tests.damage import TENSOR_FILE, copied, cut, directory, flip, renamed, said, state_of
from tests.test_training import same, silent, small_run

# Checkpoints


@pytest.mark.parametrize("damage", [*TENSOR_FILE, Path.unlink])
def test_a_bad_newest_checkpoint_falls_back(damage: Callable[[Path], None], interrupted: Run, tmp_path: Path) -> None:
    run = copied(interrupted, tmp_path)
    previous = run.previous_checkpoint.read_bytes()
    damage(run.checkpoint)
    lines: list[str] = []
    if damage in (directory,):
        with pytest.raises(PIEError, match="remove it") as error:
            run.load_checkpoint(state_of(run).check, lines.append)
        said(str(error.value), run.checkpoint)
        return
    loaded = run.load_checkpoint(state_of(run).check, lines.append)
    assert loaded is not None
    assert loaded[1]["step"] == 7
    assert len(lines) == 1
    assert lines[0].startswith(f"{run.checkpoint} is ")
    assert lines[0].endswith("; going on from the checkpoint before it, of step 7")
    assert run.checkpoint.read_bytes() == previous
    assert not run.previous_checkpoint.exists()


@pytest.mark.parametrize("damage", [flip, renamed])
def test_training_after_a_fall_back_ends_bit_identical(
    damage: Callable[[Path], None], digits: Dataset, whole: Run, interrupted: Run, tmp_path: Path
) -> None:
    """Also if metrics.csv is ahead of the checkpoint, and damaged."""
    run = copied(interrupted, tmp_path)
    assert run.epochs_done == 1
    damage(run.checkpoint)
    (run.folder / "metrics.csv").write_bytes(bytes(range(256)) * 10)
    display = silent()
    train(run, digits, Execution("cpu"), display)
    assert "of step 7" in display.console.file.getvalue()  # type: ignore[attr-defined]
    assert same(load_tensors(run.weights)[0], load_tensors(whole.weights)[0])
    rows, expected = (pd.read_csv(r.folder / "metrics.csv").drop(columns="seconds") for r in (run, whole))
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)
    assert not list(run.folder.glob("checkpoint*"))


def test_resume_says_that_it_fell_back(
    interrupted: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in a process of its own, as for a user; if both checkpoints are bad, the folder is left as it was."""
    name = interrupted.name
    shutil.copytree(interrupted.folder, tmp_path / name)
    run = Run(tmp_path / name, interrupted.config)
    options = f"--dataset digits {commands.SMALL} --epochs 2 --device cpu"
    resume = f"train {options} --resume --results-dir {tmp_path}"
    flip(run.checkpoint)
    shutil.copytree(run.folder, tmp_path / "both")
    done = commands.run(*resume.split(), cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert f"{run.checkpoint} is damaged" in done.stdout
    assert "of step 7" in done.stdout
    shutil.rmtree(run.folder)
    shutil.move(tmp_path / "both", run.folder)
    cut(run.previous_checkpoint)
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    code, _, errors = call(resume, capsys, monkeypatch)
    assert (code, errors.count("\n")) == (1, 1)
    said(errors, run.checkpoint)
    said(errors, run.previous_checkpoint)
    (run.folder / ".lock").unlink()
    heartbeat = json.loads((run.folder / FILE).read_text())
    assert heartbeat["reason"] in errors
    (run.folder / FILE).unlink()
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before


def test_a_checkpoint_of_another_configuration_is_an_error(interrupted: Run, tmp_path: Path) -> None:
    """It does not fall back: the folder or the file was moved, and nothing is damaged."""
    run = copied(interrupted, tmp_path)
    other = small_run(tmp_path / "other", seed=1)
    other.create()
    tensors, metadata = load_tensors(run.checkpoint)
    other.save_checkpoint(tensors, {**metadata, "config": other.config.to_dict()})
    shutil.copy(other.checkpoint, run.checkpoint)
    with pytest.raises(PIEError, match="belongs to another configuration"):
        run.load_checkpoint(state_of(run).check, print)


HISTORIES: list[Any] = [{}, [1], [{"epoch": []}], [{"epoch": "1"}], None]


@pytest.mark.parametrize(
    "values",
    [
        *({"step": step} for step in (-1, 20, 1.5, True, None)),
        *({"seconds": seconds} for seconds in (float("nan"), -1.0, "1")),
        *({"history": history} for history in HISTORIES),
    ],
)
def test_a_checkpoint_that_says_nonsense_is_bad(values: dict[str, Any], interrupted: Run, tmp_path: Path) -> None:
    run = copied(interrupted, tmp_path)
    tensors, metadata = load_tensors(run.checkpoint)
    save_tensors(run.checkpoint, tensors, {**metadata, **values})
    lines: list[str] = []
    loaded = run.load_checkpoint(state_of(run).check, lines.append)
    assert loaded is not None
    assert loaded[1]["step"] == 7
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["noise", "rng.cpu"])
def test_a_state_that_no_random_generator_has_is_bad(name: str, interrupted: Run, tmp_path: Path) -> None:
    run = copied(interrupted, tmp_path)
    tensors, metadata = load_tensors(run.checkpoint)
    save_tensors(run.checkpoint, {**tensors, name: torch.full_like(tensors[name], 255)}, metadata)
    loaded = run.load_checkpoint(state_of(run).check, lambda line: None)
    assert loaded is not None
    assert loaded[1]["step"] == 7


def test_checkpoints_of_another_kind_of_device_say_so_and_stay(interrupted: Run, tmp_path: Path) -> None:
    run = copied(interrupted, tmp_path)
    for path in (run.checkpoint, run.previous_checkpoint):
        tensors, metadata = load_tensors(path)
        save_tensors(path, {**tensors, "noise": torch.zeros(16, dtype=torch.uint8)}, metadata)
    before = run.checkpoint.read_bytes()
    with pytest.raises(PIEError, match="another kind of device"):
        run.load_checkpoint(state_of(run).check, print)
    assert run.checkpoint.read_bytes() == before


@pytest.mark.parametrize("links", [True, False])
def test_at_every_moment_one_checkpoint_is_whole(
    links: bool, interrupted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each file operation of a write, which fails or is the last before a power cut, the newest one is whole.

    Without hard links, it is the newest one or, until that has its name, the one before.
    """
    tensors, metadata = load_tensors(interrupted.checkpoint)
    assert metadata["step"] == 10
    refusals = list[str]()

    def refuse(self: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    for failing in range(1, 10):
        run = copied(interrupted, tmp_path / str(failing))
        calls = 0

        def guard(name: str, run: Run = run, failing: int = failing) -> None:
            """Make the method of Path look at the checkpoints first, and fail when it is its turn."""
            original = getattr(Path, name)

            def look_and_do(self: Path, *arguments: Any, **named: Any) -> Any:
                nonlocal calls
                calls += 1
                newest = run.checkpoint
                if not links and not newest.exists():
                    newest = run.previous_checkpoint
                assert load_tensors(newest)[1]["step"] == 10
                if calls == failing:
                    raise OSError(28, "No space left on device")
                return original(self, *arguments, **named)

            monkeypatch.setattr(Path, name, look_and_do)

        for name in ("write_bytes", "unlink", "chmod", "replace"):
            guard(name)
        if not links:
            monkeypatch.setattr(Path, "hardlink_to", refuse)
        try:
            run.save_checkpoint(tensors, metadata)
        except PIEError as error:
            refusals.append(str(error))
        monkeypatch.undo()
        loaded = run.load_checkpoint(state_of(run).check, lambda line: None)
        assert loaded is not None
        assert loaded[1]["step"] == 10
        run.remove_litter()  # its own removal may be what failed
        assert not [path for path in run.folder.glob(".*") if path.name != ".lock"]
    assert all("No space left" in refusal for refusal in refusals)
    assert len(refusals) == (4 if links else 5)  # write, unlink, chmod, replace; without links, the move too


def test_overwriting_removes_both_checkpoints(interrupted: Run, tmp_path: Path) -> None:
    run = copied(interrupted, tmp_path)
    assert {run.checkpoint, run.previous_checkpoint} <= set(run.files)
    run.clear()
    assert not list(run.folder.glob("*.safetensors"))


def test_a_grid_shows_what_a_worker_notes(interrupted: Run, tmp_path: Path) -> None:
    """Word for word, whatever a folder is called."""
    run, console = copied(interrupted, tmp_path), Console(file=io.StringIO(), width=200)
    display = GridDisplay(console, [run], lambda said: said.pid == os.getpid())
    with Heart(run.folder, keep=True) as heart:
        Beating(heart, Display()).note("[/x] is damaged")
    display.refresh()
    display.refresh()
    assert console.file.getvalue() == f"{run.name}: [/x] is damaged\n"  # type: ignore[attr-defined]
