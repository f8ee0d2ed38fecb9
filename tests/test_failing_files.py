"""File systems that fail: a full disk, closed and vanishing folders, two trainings in one. Good files stay good."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from pie_cli.io.tensors import load_tensors
from pie_cli.runs.folder import Run, load_model
from pie_cli.runs.heartbeat import Heartbeat
from tests import commands

SMALL = ("--latent-dim", 4, "--conv-width", 4, "--dense-width", 16, "--dense-depth", 1)
TRAIN = ("train", "--dataset", "digits", *SMALL, "--epochs")
NAME = "pie-digits-d4-eps0.01-seed0"
RUN = f"results/{NAME}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run and a figure of it."""
    folder = tmp_path_factory.mktemp("trained")
    for command in ([*TRAIN, 2], ["sample", RUN]):
        done = commands.run(*command, cwd=folder)
        assert done.code == 0, done.stderr
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(trained / "results", tmp_path / "results")
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all files of a folder but the empty ones that locks are on."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")}


def assert_one_line(done: commands.Done, *words: str) -> None:
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.code == 1
    for word in words:
        assert word in done.stderr


def full_at(size: int) -> None:
    """Make writing fail once a file reaches this size, as it does on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def without_privileges() -> None:
    """Make permissions apply to this process even if root started it, by giving up Linux's capabilities."""
    if os.geteuid() == 0:
        version_3, pid, none = 0x20080522, 0, (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version_3, pid), none) == 0


@pytest.mark.parametrize(("size", "file"), [(0, "config.json"), (500_000, "checkpoint.safetensors")])
def test_a_disk_that_fills_up_while_training(size: int, file: str, place: Path) -> None:
    """No half-written file stays; once there is space, the training resumes to the weights of an undisturbed one."""
    done = commands.run(*TRAIN, 2, "--results-dir", "new", cwd=place, before=partial(full_at, size))
    assert_one_line(done, f"cannot write new/{NAME}/{file}", "free some space or choose another folder")
    left = {path.name for path in contents(place / "new")}
    assert left - {"heartbeat.json"} <= {"config.json", "metrics.csv"}
    said = Heartbeat.read(place / "new" / NAME)  # it says why the training failed, where there is room for it
    assert (said.state, said.reason in done.stderr) == ("failed", True) if said else size == 0
    done = commands.run(*TRAIN, 2, "--results-dir", "new", "--resume", cwd=place)
    assert done.code == 0, done.stderr
    weights = [load_tensors(place / folder / NAME / "weights.safetensors")[0] for folder in ("new", "results")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    "command", ["sample", "reconstruct", "reconstruct --keep 1", "interpolate", "sample --prior gaussian"]
)
@pytest.mark.parametrize("size", [0, 1_000, 10_000])
def test_a_disk_that_fills_up_while_drawing(command: str, size: int, place: Path) -> None:
    """The earlier figures are still there, and none is cut."""
    before = contents(place)
    done = commands.run(*command.split(), RUN, cwd=place, before=partial(full_at, size))
    assert_one_line(done, f"cannot write {RUN}/figures/", "File too large")
    assert contents(place) == before


def test_a_disk_that_fills_up_while_evaluating(place: Path) -> None:
    before = contents(place)
    done = commands.run("evaluate", "--dataset", "digits", cwd=place, before=partial(full_at, 10_000))
    assert_one_line(done, "cannot write results/classifier-digits.safetensors")
    assert contents(place) == before


def test_output_that_cannot_be_written(place: Path) -> None:
    done = commands.run("sample", "--count", 4, RUN, cwd=place, before=_output_into_a_full_disk)
    assert_one_line(done, "No space left on device")
    assert load_model(place / RUN).sample(1).isfinite().all()


def _output_into_a_full_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


needs_permissions = pytest.mark.skipif(
    os.geteuid() == 0 and sys.platform != "linux", reason="permissions do not stop root, who can give up nothing here"
)


@needs_permissions
@pytest.mark.parametrize(
    ("closed", "mode", "command", "words"),
    [
        ("results", 0o555, [*TRAIN, 1, "--seed", 1], f"cannot lock results/{NAME[:-1]}1/.lock: Permission denied"),
        (RUN, 0o555, [*TRAIN, 2, "--overwrite"], "Permission denied"),
        (f"{RUN}/figures", 0o555, ["sample", RUN], f"cannot write {RUN}/figures/samples_40_variance1.pdf: Permission"),
        ("results", 0o555, ["evaluate", "--dataset", "digits"], "cannot lock results/.classifier-digits.lock"),
        ("results", 0o000, [*TRAIN, 1], f"{RUN}/config.json: Permission denied"),
        ("results", 0o000, ["umap", RUN], f"cannot read {RUN}/config.json: Permission denied"),
        ("results", 0o000, ["evaluate", "--dataset", "digits"], "results: Permission denied"),
        ("results", 0o000, ["sharpness", "--dataset", "digits"], "Permission denied"),
    ],
)
def test_folders_that_are_read_only_or_closed(
    closed: str, mode: int, command: list[object], words: str, place: Path
) -> None:
    before = contents(place)
    (place / closed).chmod(mode)
    done = commands.run(*command, cwd=place, before=without_privileges)
    (place / closed).chmod(0o755)
    assert_one_line(done, words)
    assert contents(place) == before


@needs_permissions
def test_without_privileges_what_is_open_can_be_drawn_into(place: Path) -> None:
    """So only the permissions stop the commands above."""
    done = commands.run("sample", "--count", 4, RUN, cwd=place, before=without_privileges)
    assert done.code == 0, done.stderr


def begin(place: Path, epochs: int) -> tuple[commands.Command, Path]:
    """Return a training that has finished its first epoch, and its folder."""
    training = commands.start(*TRAIN, epochs, "--results-dir", "new", cwd=place)
    folder = place / "new" / NAME
    while not (folder / "checkpoint.safetensors").exists() and training.process.is_alive():
        time.sleep(0.01)
    return training, folder


def test_a_run_folder_that_vanishes_while_training(place: Path) -> None:
    """It is not made again with half of its files; where it went, the run is whole and resumes from its checkpoint."""
    training, folder = begin(place, epochs=1_000)
    folder.rename(place / "elsewhere")
    assert_one_line(training.wait(), f"cannot write new/{NAME}/", "No such file or directory")
    assert not folder.exists()
    tensors, metadata = load_tensors(place / "elsewhere" / "checkpoint.safetensors")
    assert metadata["step"] >= 10
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert Run.open(place / "elsewhere").epochs_done >= 1


def test_two_trainings_in_one_folder(place: Path) -> None:
    """The second is refused, whatever its options, and the first is not affected."""
    training, folder = begin(place, epochs=1_000)
    for option in ("--resume", "--overwrite"):
        done = commands.run(*TRAIN, 1_000, "--results-dir", "new", option, cwd=place)
        assert_one_line(done, f"another process is training or evaluating new/{NAME}; wait for it")
        assert training.process.is_alive()
    assert training.process.pid
    os.kill(training.process.pid, signal.SIGTERM)
    done = training.wait()
    assert done.code == 128 + signal.SIGTERM
    assert done.stderr.count("\n") == 1
    tensors, _ = load_tensors(folder / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())
