"""The command line, run for real on scikit-learn's digits: every command; test_usage.py has what users get wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pie_cli.io.tensors import load_tensors
from pie_cli.runs import find
from pie_cli.runs.folder import load_model
from tests import commands
from tests.conftest import call, pie

SMALL = ("--dataset", "digits", *commands.SMALL.split())
NAME = "pie-digits-d4-eps0.01-seed0"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one trained run."""
    folder = tmp_path_factory.mktemp("results")
    done = pie("train", *SMALL, "--epochs", 2, "--results-dir", folder)
    assert done.returncode == 0, done.stderr
    assert "epoch 2 done" in done.stdout
    return folder


def test_train_writes_the_run_folder(results: Path) -> None:
    run = results / NAME
    names = (".lock", "config.json", "learning_curve.pdf", "learning_curve.png", "metrics.csv", "provenance.json")
    assert sorted(path.name for path in run.iterdir()) == sorted([*names, "weights.safetensors"])
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["eps2"] == 0.01
    assert config["model"]["eps0"] == pytest.approx(0.1)
    assert config["training"]["noise"] == 0.01
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["command"].startswith("pie train --dataset digits")
    assert facts["seed"] == 0
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    metrics = pd.read_csv(run / "metrics.csv")
    assert metrics["epoch"].tolist() == [1, 2]
    terms = {"val_log_p_z", "val_log_p_r4", "val_log_det", "val_r1_over_eps2", "val_mse", "z_std", "sample_max_abs"}
    assert terms <= set(metrics.columns)


@pytest.mark.parametrize(
    ("arguments", "stem", "arrays"),
    [
        ("reconstruct", "reconstructions", {"originals": (20, 1, 28, 28), "reconstructions": (20, 1, 28, 28)}),
        ("reconstruct --keep 2", "reconstructions_keep2", {"images": (4, 10, 1, 28, 28)}),
        ("sample --count 12", "samples_12_variance1", {"codes": (12, 4), "samples": (12, 1, 28, 28)}),
        ("sample --count 5 --variance 0.5", "samples_5_variance0.5", {"codes": (5, 4)}),
        ("sample --count 6 --prior gaussian", "samples_6_gaussian", {"codes": (6, 4), "samples": (6, 1, 28, 28)}),
        ("sample --count 6 --prior fitted", "samples_6_fitted", {"codes": (6, 4)}),
        ("interpolate --rows 3", "interpolations_3", {"images": (3, 10, 1, 28, 28), "codes": (3, 10, 4)}),
        ("interpolate --from 7 --to 2", "interpolation_digits_7_2", {"images": (1, 10, 1, 28, 28)}),
        ("interpolate --from-index 5 --to-index 9", "interpolation_5_9", {"indices": (1, 2)}),
        ("umap", "umap", {"codes": (300, 4), "plane": (300, 2)}),
    ],
)
def test_figures(
    arguments: str,
    stem: str,
    arrays: dict[str, tuple[int, ...]],
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By run folder or by options, each figure is a PDF, a PNG and the arrays behind it, the same again each time."""
    options = f"--dataset digits --latent-dim 4 --results-dir {results}"
    code, printed, errors = call(f"{arguments} {options}", capsys, monkeypatch)
    assert code == 0, errors
    figures = results / NAME / "figures"
    contents = [(figures / f"{stem}.{kind}").read_bytes() for kind in ("pdf", "png", "npz")]
    assert contents[0].startswith(b"%PDF")
    assert contents[1].startswith(b"\x89PNG")
    data = np.load(figures / f"{stem}.npz")
    for name, shape in arrays.items():
        assert data[name].shape == shape
        assert np.isfinite(data[name]).all()
    assert f"{stem}.npz" in printed
    code, _, _ = call(f"{arguments} {results / NAME}", capsys, monkeypatch)
    assert code == 0
    assert [(figures / f"{stem}.{kind}").read_bytes() for kind in ("pdf", "png", "npz")] == contents


def test_keep_reports_the_exact_inverse(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, printed, _ = call(f"reconstruct --keep 1 {results / NAME}", capsys, monkeypatch)
    numbers = dict(line.rsplit(": ", 1) for line in printed.splitlines() if "MSE" in line or "inverse" in line)
    assert float(numbers["largest error of the exact inverse"]) < 1e-4
    assert float(numbers["test MSE, 0 residual levels kept (4 numbers)"]) > float(
        numbers["test MSE, 1 residual levels kept (64 numbers)"]
    )


def test_the_run_that_comes_with_the_program_is_used_and_said_so(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used if the results folder has no run of its name, and for no other name; figures go into that folder."""
    showcase = results / NAME
    before = sorted(showcase.rglob("*"))
    monkeypatch.setattr(find, "SHOWCASE", showcase)
    for command in ("sample", "reconstruct", "interpolate"):
        chosen = f"--dataset digits --latent-dim 4 --results-dir {tmp_path / 'none'}"
        code, printed, errors = call(f"{command} {chosen}", capsys, monkeypatch)
        assert code == 0, errors
        assert f"the trained one that comes with the program: {showcase}" in printed
    assert len(list((tmp_path / "none/showcase/figures").glob("*.png"))) == 3
    assert sorted(showcase.rglob("*")) == before
    code, _, errors = call(f"sample {chosen} --seed 1", capsys, monkeypatch)
    assert code == 1
    assert "train it with" in errors


def test_the_run_that_comes_with_the_program_is_none_of_ones_own(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout, where it is in the results folder, `pie evaluate` neither counts it nor writes into it."""
    showcase = tmp_path / "showcase"
    shutil.copytree(results / NAME, showcase)
    before = sorted(showcase.rglob("*"))
    monkeypatch.setattr(find, "SHOWCASE", showcase)
    code, _, errors = call(f"evaluate --dataset digits --results-dir {tmp_path}", capsys, monkeypatch)
    assert code == 1
    assert "there is no finished run" in errors
    assert sorted(showcase.rglob("*")) == before


def test_existing_runs_are_never_overwritten_silently(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = f"train {' '.join(map(str, SMALL))} --results-dir {results} --epochs"
    before = (results / NAME / "weights.safetensors").read_bytes()
    code, _, errors = call(f"{train} 2", capsys, monkeypatch)
    assert code == 2
    assert "--resume" in errors
    assert "--overwrite" in errors
    code, _, errors = call(f"{train} 3 --resume", capsys, monkeypatch)
    assert code == 2
    assert "epochs: 2, now 3" in errors
    code, printed, _ = call(f"{train} 2 --resume", capsys, monkeypatch)
    assert code == 0
    assert "complete" in printed
    assert (results / NAME / "weights.safetensors").read_bytes() == before


def test_overwrite_gives_the_same_weights_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seed on the same machine, in another process: bit-identical weights."""
    train = f"train {' '.join(map(str, SMALL))} --results-dir {tmp_path} --epochs 2"
    for extra in ("", "--overwrite"):
        code, _, errors = call(f"{train} {extra}", capsys, monkeypatch)
        assert code == 0, errors
    weights = [load_tensors(folder / NAME / "weights.safetensors")[0] for folder in (results, tmp_path)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_ctrl_c_and_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: one line that says how to go on, exit code 130, nothing half-written; --resume ends bit-identical."""
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    train = f"train {' '.join(map(str, SMALL))} --epochs 6 --resume --results-dir"
    command = [sys.executable, "-m", "pie_cli", *f"{train} {stopped}".split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (stopped / NAME / "metrics.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("error: stopped")
    assert errors.count("\n") == 1
    assert not [path for path in (stopped / NAME).glob(".*") if path.name != ".lock"]
    for folder in (stopped, whole):
        code, _, errors = call(f"{train} {folder}", capsys, monkeypatch)
        assert code == 0, errors
    weights = [load_tensors(folder / NAME / "weights.safetensors")[0] for folder in (stopped, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_dry_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, _ = call(f"train --eps2 0.1 --dry-run --results-dir {tmp_path / 'new'}", capsys, monkeypatch)
    assert code == 0
    assert '"eps2": 0.1' in printed
    assert '"eps0": 0.316' in printed
    assert "weights.safetensors" in printed
    assert not (tmp_path / "new").exists()


def test_damaged_weights_are_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / NAME
    run.mkdir()
    for name in ("config.json", "weights.safetensors"):
        (run / name).write_bytes((results / NAME / name).read_bytes())
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (run / "weights.safetensors").write_bytes(content)
    code, _, errors = call(f"sample {run}", capsys, monkeypatch)
    assert code == 1
    assert "weights.safetensors is damaged" in errors
    assert not (run / "figures").exists()


def test_help_shows_every_default(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    code, printed, _ = call("train --help", capsys, monkeypatch)
    assert code == 0
    options = " ".join(printed.replace("│", " ").split()).split(" --")
    for option, default in {
        "eps2": "0.01",
        "epochs": "10",
        "lr": "0.002",
        "noise": "eps2 for PIE",
        "init": "pca",
    }.items():
        text = next(f"{text} --{after}" for text, after in pairwise(options) if text.startswith(f"{option} <"))
        assert "default: " in text
        assert default in text


def test_help_loads_no_torch() -> None:
    """So `pie --help` answers at once."""
    code = (
        "import sys, pie_cli.cli.app; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version_and_module() -> None:
    done = pie("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("pie ")


def test_load_model_from_the_library(results: Path) -> None:
    model = load_model(results / NAME)
    assert model.sample(2).shape == (2, 1, 28, 28)
