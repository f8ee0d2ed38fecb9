"""Training in two CPU processes over gloo: the same result as in one, with one line and one exit code for both."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from pie_cli import runtime
from pie_cli.cli import given
from pie_cli.cli.console import speaking_options
from pie_cli.cli.options import Place
from pie_cli.config.naming import run_config
from pie_cli.config.run import RunConfig
from pie_cli.data.load import load_dataset
from pie_cli.errors import Interrupted, UsageError
from pie_cli.io.tensors import load_tensors
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution, fastest_precision
from pie_cli.training import distributed
from pie_cli.training.distributed import plan_execution
from pie_cli.training.launch import open_for_training
from pie_cli.training.loop import train
from tests import commands
from tests.commands import start
from tests.conftest import call
from tests.test_training import SMALL, Stopping, silent

NAME = "pie-digits-d4-eps0.01-seed0"
OPTIONS = f"--dataset digits {commands.SMALL} --epochs 3 --lr 5e-4"

# The command line, in which one rank sends itself a signal after a step.
PROGRAM = """
import os, sys
from pie_cli.cli import app as cli
from pie_cli.training import display
rank, at, signum = os.environ["TEST_SIGNAL"].split()
show = display.TrainingDisplay.step
def step(self, number, loss):
    show(self, number, loss)
    if number == int(at) and os.environ.get("LOCAL_RANK", "0") == rank:
        os.kill(os.getpid(), int(signum))
display.TrainingDisplay.step = step
cli.main()
"""


def config(**training: Any) -> RunConfig:
    return run_config("pie", latent_dim=4, **{"dataset": "digits", "epochs": 3, "lr": 5e-4, **training}, **SMALL)


def two_processes(
    folder: Path, options: str = "", *, rank: int = 0, at: int = -1, signum: int = 0, starter: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Train in two processes; one of them gets a signal after a step."""
    script = folder / "program.py"
    folder.mkdir(exist_ok=True)
    script.write_text(PROGRAM)
    command = [
        sys.executable,
        *starter,
        str(script),
        "train",
        *OPTIONS.split(),
        "--device",
        "cpu",
        "--results-dir",
        str(folder),
        *options.split(),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TEST_SIGNAL": f"{rank} {at} {int(signum)}",
    }
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three epochs of ten steps, trained in one process without a break."""
    run = Run(tmp_path_factory.mktemp("whole"), config())
    train(run, load_dataset("digits", report=lambda line: None), Execution("cpu"), silent())
    return run


def assert_same_training(run: Run, expected: Run) -> None:
    """Weights and every epoch's numbers agree to what another order of summation can change.

    Adam divides by small gradients, so rounding grows with the learning rate: it is a quarter of the default's here.
    """
    weights, wanted = (load_tensors(one.weights)[0] for one in (run, expected))
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-4)
    rows, wanted_rows = (pd.read_csv(one.folder / "metrics.csv").drop(columns="seconds") for one in (run, expected))
    pd.testing.assert_frame_equal(rows, wanted_rows, rtol=1e-3, atol=1e-4)


def test_two_processes_train_what_one_does(tmp_path: Path, whole: Run) -> None:
    """Two train until a signal to the launcher, one until another signal, two of torchrun to the end: no difference.

    Only one of the two writes and prints.
    """
    stopped = two_processes(tmp_path, "--devices 2", at=7, signum=signal.SIGTERM)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert stopped.stderr == "error: stopped after step 7 of 30; go on with the same command and --resume\n"
    assert stopped.stdout.count("on 2 × cpu") == 1

    run = open_for_training(config(), tmp_path, resume=True, overwrite=False)
    with pytest.raises(Interrupted):
        train(run, load_dataset("digits", report=lambda line: None), Execution("cpu"), Stopping(14, signal.SIGINT))

    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
    done = two_processes(tmp_path, "--resume", starter=torchrun)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3 done") == 1
    assert_same_training(run, whole)
    assert run.provenance["world_size"] == 2
    files = (".lock", "config.json", "learning_curve.pdf", "learning_curve.png", "metrics.csv", "provenance.json")
    assert sorted(path.name for path in run.folder.iterdir()) == sorted([*files, "weights.safetensors"])


def test_a_killed_rank_ends_all(tmp_path: Path, whole: Run) -> None:
    """After kill -9 of one process: one line, exit code 1, and --resume starts from the last epoch's checkpoint."""
    lost = two_processes(tmp_path, "--devices 2", rank=1, at=13, signum=signal.SIGKILL)
    assert lost.returncode == 1
    assert re.fullmatch(r"error: a training process died .*--resume\n", lost.stderr)
    run = open_for_training(config(), tmp_path, resume=True, overwrite=False)
    assert load_tensors(run.checkpoint)[1]["step"] == 10
    train(run, load_dataset("digits", report=lambda line: None), Execution("cpu"), silent())
    assert_same_training(run, whole)


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
NODE = {"NODE_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        ("--devices 0", {}, "--devices"),
        ("--num-nodes 0", {}, "--num-nodes"),
        ("--devices 3", {}, "--batch-size 128 is the whole batch of all 3 processes and must be divisible by 3"),
        ("--devices 2 --model vae", {}, "only PIE trains on several devices"),
        ("--devices 2 --model wae", {}, "only PIE trains on several devices"),
        ("--num-nodes 2", {}, "start the command with torchrun or srun"),
        ("--num-nodes 2", {"SLURM_NTASKS": "4", "SLURM_NNODES": "2"}, "start the command with srun"),
        (
            "--devices 4",
            {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0"},
            "started this with 2",
        ),
        (
            "",
            {"SLURM_NTASKS": "3", "SLURM_NNODES": "2", "SLURM_STEP_ID": "0"},
            "3 tasks on 2 nodes, not as many on each",
        ),
        (
            "--devices 2 --num-nodes 2",
            {"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"},
            "--num-nodes 2, but torchrun or Slurm",
        ),
        ("", {"SLURM_NTASKS": "x", "SLURM_STEP_ID": "0"}, "the environment variable SLURM_NTASKS is 'x'"),
        ("", {"SLURM_NTASKS": "2", "SLURM_NNODES": "0"}, "the environment variable SLURM_NNODES is '0'"),
        ("", {**TORCHRUN, "RANK": "a"}, "the environment variable RANK is 'a'"),
        ("", {**TORCHRUN, "WORLD_SIZE": "3"}, "torchrun started 3 processes, 2 on this machine"),
        ("--num-nodes 2", {**NODE, "NODE_RANK": "2"}, "NODE_RANK must lie between 0 and 1, got 2"),
        ("--num-nodes 2", {**NODE, "MASTER_PORT": "abc"}, "the environment variable MASTER_PORT is 'abc'"),
        ("--precision 16", {}, "--precision"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    options: str,
    environment: dict[str, str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, _, errors = call(f"train --dataset digits --results-dir {tmp_path / 'new'} {options}", capsys, monkeypatch)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_processes_that_slurm_started_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NTASKS": 8, "NNODES": 2, "NTASKS_PER_NODE": 4, "STEP_ID": 0}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert plan_execution(config(), "cpu", None, None) == Execution("cpu", 4, 2)


def test_a_task_of_slurm_may_start_the_processes_of_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {"NTASKS": 2, "NNODES": 2, "NTASKS_PER_NODE": 1, "STEP_ID": 0, "PROCID": 1, "LOCALID": 0, "NODEID": 1}
    for name, value in {**started, "JOB_ID": 1234, "NODELIST": "a[3-4]"}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    execution = plan_execution(config(), "cpu", 2, None)
    assert execution == Execution("cpu", 2, 2)
    assert distributed.lacks_ranks(execution)
    assert distributed._this_node() == (1, "a3:16234")
    assert not distributed.lacks_ranks(plan_execution(config(), "cpu", None, None))  # one task a node is a process then


def test_gpus_are_counted_and_asked_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert plan_execution(config(), "cuda", 2, None) == Execution("cuda", 2, 1)
    with pytest.raises(UsageError, match="--devices 4"), speaking_options():
        plan_execution(config(), "cuda", 4, None)
    with pytest.raises(UsageError, match="--precision bf16-mixed"), speaking_options():
        plan_execution(config(precision="bf16-mixed"), "cuda", 2, None)


@pytest.mark.parametrize(
    ("emulated", "precision", "lines"), [(True, "bf16-mixed", 1), (True, "32-true", 0), (False, "bf16-mixed", 0)]
)
def test_a_cpu_that_emulates_bfloat16_is_named(
    emulated: bool, precision: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "slow_bfloat16", lambda accelerator: emulated)
    said: list[str] = []
    plan_execution(config(precision=precision), "cpu", report=said.append)
    assert len(said) == lines


@pytest.mark.parametrize(
    ("accelerator", "emulated", "expected"),
    [("cpu", True, "32-true"), ("cpu", False, "bf16-mixed"), ("mps", False, "32-true"), ("cuda", True, "bf16-mixed")],
)
def test_the_fastest_precision_is_what_the_device_computes_in(
    accelerator: str, emulated: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "slow_bfloat16", lambda accelerator: emulated)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert fastest_precision(accelerator) == expected


def test_precision_auto_is_resolved_before_the_run_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "fastest_precision", lambda accelerator: {"cpu": "bf16-mixed"}[accelerator])
    images = given.Images({"dataset": "digits"}, Place(device="cpu"))
    assert given.config({"precision": "auto"}, images).resolved.precision == "bf16-mixed"
    assert given.config({}, images).resolved.precision == "32-true"


def test_mixed_precision_is_part_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast is on around the loss, images reach the model in float32, and an old config means float32."""
    from pie_cli import PIE

    seen: list[tuple[bool, torch.dtype]] = []

    def watched(plain: Callable[..., Any]) -> Callable[..., Any]:
        def spy(model: PIE, x: Tensor, eps2: Tensor | None = None) -> Any:
            seen.append((torch.is_autocast_enabled("cpu"), x.dtype))
            return plain(model, x, eps2)

        return spy

    for name in ("loss", "loss_terms"):  # of training, of validation
        monkeypatch.setattr(PIE, name, watched(getattr(PIE, name)))
    dataset = load_dataset("digits", report=lambda line: None)
    run = Run(tmp_path / "run", config(epochs=1, precision="bf16-mixed"))
    train(run, dataset, Execution("cpu"), silent())
    assert seen[:10] == [(True, torch.float32)] * 10
    assert not any(autocast for autocast, _ in seen[10:])  # validation is in float32
    assert Run.open(run.folder).config.differences(config(epochs=1)) == ["precision: bf16-mixed, now 32-true"]

    path = tmp_path / "run" / "config.json"
    old = json.loads(path.read_text())
    del old["training"]["precision"]
    path.write_text(json.dumps(old))
    assert Run.open(run.folder).config == config(epochs=1)


def test_a_training_that_waits_for_other_nodes_can_be_stopped(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**NODE, "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    options = [*OPTIONS.split(), "--device", "cpu", "--num-nodes", "2"]
    waiting = start("train", *options, cwd=tmp_path, environment=environment)
    waiting.process.join(8)  # until it waits
    assert waiting.process.is_alive()
    waiting.process.terminate()
    waiting.process.join(10)
    assert waiting.process.exitcode in (-signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID"])
def test_a_stray_variable_of_a_launcher_changes_nothing(variable: str, tmp_path: Path) -> None:
    """The processes that take part decide which is the main one: a process that is alone prints, locks and draws."""
    options = [*OPTIONS.replace("--epochs 3", "--epochs 1").split(), "--device", "cpu"]
    done = start("train", *options, cwd=tmp_path, environment={variable: "1", "OMP_NUM_THREADS": "1"}).wait()
    assert done.code == 0, done.stderr
    assert "epoch 1 done" in done.stdout
    names = {path.name for path in (tmp_path / "results" / NAME).iterdir()}
    assert {".lock", "learning_curve.png", "weights.safetensors"} <= names
