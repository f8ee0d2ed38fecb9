"""The training loop on scikit-learn's digits: seeds, interruption and resumption bit for bit, divergence."""

from __future__ import annotations

import io
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import Tensor

from pie_cli.cli.console import speaking_options
from pie_cli.config.naming import run_config
from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.errors import Interrupted, PIEError, UsageError
from pie_cli.io.tensors import load_tensors, save_tensors
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run, load_model
from pie_cli.runtime import Execution
from pie_cli.training.batches import annealing, training_batch
from pie_cli.training.display import TrainingDisplay
from pie_cli.training.loop import train
from pie_cli.training.validate import validate

SMALL: dict[str, Any] = {"conv_width": 4, "dense_width": 16, "dense_depth": 1, "couplings": 1}


def small_run(folder: Path, model: str = "pie", **training: Any) -> Run:
    """Return a fresh run of a small model, three epochs of ten steps unless told otherwise."""
    values = {"dataset": "digits", "epochs": 3, "batch_size": 128, **training}
    sizes = SMALL if model == "pie" else {}
    return Run(folder, run_config(model, latent_dim=4, **values, **sizes))


class Stopping(TrainingDisplay):
    """Sends a signal to this process after a step, as Ctrl-C or a cluster would."""

    def __init__(self, at: int, signum: int) -> None:
        super().__init__(Console(file=io.StringIO()), "test")
        self.at, self.signum = at, signum

    def step(self, step: int, loss: Tensor) -> None:
        super().step(step, loss)
        if step == self.at:
            os.kill(os.getpid(), self.signum)


def silent() -> TrainingDisplay:
    return TrainingDisplay(Console(file=io.StringIO()), "test")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("model", ["pie", "vae", "wae", pytest.param("rae", marks=pytest.mark.slow)])
def test_interrupted_training_ends_bit_identical(model: str, digits: Dataset, tmp_path: Path) -> None:
    """Interrupted mid-epoch, at an epoch's end and after the last step but one, and twice from the same seed."""
    whole = small_run(tmp_path / "whole", model)
    train(whole, digits, Execution("cpu"), silent())
    expected = load_tensors(whole.weights)[0]

    stopped = small_run(tmp_path / "stopped", model)
    for at, signum in ((7, signal.SIGINT), (10, signal.SIGTERM), (20, signal.SIGUSR1), (29, signal.SIGHUP)):
        with pytest.raises(Interrupted, match="--resume") as raised, speaking_options():
            train(stopped, digits, Execution("cpu"), Stopping(at, signum))
        assert raised.value.exit_code == 128 + signum
        assert not stopped.finished
    train(stopped, digits, Execution("cpu"), silent())
    assert same(load_tensors(stopped.weights)[0], expected)

    expected_rows, rows = (pd.read_csv(run.folder / "metrics.csv").drop(columns="seconds") for run in (whole, stopped))
    pd.testing.assert_frame_equal(rows, expected_rows, check_exact=True)
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert not stopped.checkpoint.exists()


def test_another_seed_gives_other_weights(digits: Dataset, tmp_path: Path) -> None:
    weights = []
    for seed in (0, 1):
        run = small_run(tmp_path / str(seed), epochs=1, seed=seed)
        train(run, digits, Execution("cpu"), silent())
        weights.append(load_tensors(run.weights)[0])
    assert not same(*weights)


def test_fewer_training_images_are_always_the_same_ones(digits: Dataset, tmp_path: Path) -> None:
    few, chosen = small_run(tmp_path / "few", epochs=1, train_images=600), small_run(tmp_path / "chosen", epochs=1)
    train(few, digits, Execution("cpu"), silent())
    train(chosen, replace(digits, train=digits.train.some(600)), Execution("cpu"), silent())
    assert same(load_tensors(few.weights)[0], load_tensors(chosen.weights)[0])
    assert Run.open(few.folder).config.differences(chosen.config) == ["train_images: 600, now None"]
    assert run_config(train_images=600).quick

    too_few = small_run(tmp_path / "too few", train_images=5)
    with pytest.raises(UsageError, match="exceeds the 5 training images"):
        train(too_few, digits, Execution("cpu"), silent())
    assert not too_few.folder.exists()


def test_training_learns(digits: Dataset, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", epochs=8)
    train(run, digits, Execution("cpu"), silent())
    history = pd.read_csv(run.folder / "metrics.csv")
    assert history["val_loss"].is_monotonic_decreasing
    clean = digits.validation.images.float() / 255
    spread = (clean - (digits.train.images.float() / 255).mean(0)).square().mean()
    assert history["val_mse"].iloc[-1] < 0.6 * spread.item()
    terms = history.filter(regex=r"^val_log_").iloc[-1].sum()
    assert -history["val_nll"].iloc[-1] == pytest.approx(terms, rel=1e-5)


def test_divergence_stops_before_the_weights_are_spoilt(digits: Dataset, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", lr=1e30)
    with pytest.raises(PIEError, match="not finite at step"):
        train(run, digits, Execution("cpu"), silent())
    assert not run.finished


def test_checkpoint_of_another_configuration_is_refused(digits: Dataset, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    with pytest.raises(Interrupted):
        train(run, digits, Execution("cpu"), Stopping(3, signal.SIGINT))
    other = Run(run.folder, RunConfig(run.config.model, replace(run.config.resolved, lr=1e-4)))
    with pytest.raises(PIEError, match="another configuration"):
        train(other, digits, Execution("cpu"), silent())


def test_damaged_checkpoint_is_refused(digits: Dataset, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    with pytest.raises(Interrupted):
        train(run, digits, Execution("cpu"), Stopping(3, signal.SIGINT))
    content = bytearray(run.checkpoint.read_bytes())
    content[-100] ^= 1
    run.checkpoint.write_bytes(content)
    with pytest.raises(PIEError, match=r"checkpoint\.safetensors is damaged"):
        train(run, digits, Execution("cpu"), silent())


def test_training_batch_has_the_variance_that_was_asked_for() -> None:
    """`noise` is a variance in [−1, 1] units: 0.04 there is 0.01 in [0, 1]."""
    config = run_config("pie", latent_dim=4, noise=0.04).resolved
    images = torch.full((400, 1, 28, 28), 128, dtype=torch.uint8)
    x = training_batch(images, config, torch.Generator().manual_seed(0))
    assert x.mean().item() == pytest.approx(128.5 / 256, abs=1e-3)
    assert x.var().item() == pytest.approx(0.01 + 1 / 256**2 / 12, rel=0.02)
    clean = replace(config, noise=0.0, dequantise=False)
    assert training_batch(images, clean, torch.Generator()).unique().tolist() == [pytest.approx(128 / 255)]


def test_annealing_goes_from_coarse_to_fine() -> None:
    config = run_config("pie", latent_dim=10, anneal=0.5, eps2=0.001)
    factors = [annealing(config, progress) for progress in (0, 0.25, 0.5, 1)]
    assert factors == pytest.approx([100, 10, 1, 1])  # from 0.1
    assert annealing(run_config("pie", latent_dim=10, eps2=0.1), 0) == 1
    assert annealing(run_config("vae", latent_dim=10), 0) == 1


def test_a_reconstruction_penalty_at_the_start_ends_with_the_annealing(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later steps have the paper's loss; the runs have different names."""
    weights = list[float | None]()
    plain = PIE.loss

    def loss(self: PIE, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None) -> Tensor:
        if self.training:
            weights.append(None if reconstruction is None else reconstruction.item())
        return plain(self, x, eps2, reconstruction)

    monkeypatch.setattr(PIE, "loss", loss)
    run = small_run(tmp_path, reconstruction_start=3.0, anneal=0.5)
    assert run.name.endswith("-recstart3-seed0")
    train(run, digits, Execution("cpu"), silent())
    half = len(weights) // 2
    assert weights[:half] == pytest.approx([3.0 * (1 - step / half) for step in range(half)])
    assert weights[half:] == [None] * half
    assert Run.open(run.folder).config == run.config


def test_validation_leaves_the_random_state_alone(digits: Dataset) -> None:
    from pie_cli import VAE, VAEConfig

    config = run_config("vae", latent_dim=4).resolved
    state = torch.get_rng_state()
    first = validate(VAE(VAEConfig(latent_dim=4)).eval(), digits.validation, config, 10)
    assert first["samples_not_finite"] == 0
    torch.set_rng_state(state)
    model = VAE(VAEConfig(latent_dim=4)).eval()
    after_building = torch.get_rng_state()
    assert validate(model, digits.validation, config, 10) == first
    assert torch.equal(torch.get_rng_state(), after_building)


def test_load_model_is_the_trained_one(digits: Dataset, tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", epochs=1)
    trained = train(run, digits, Execution("cpu"), silent())
    loaded = load_model(run.folder)
    x = digits.test.images[:5].float() / 255
    assert not loaded.training
    assert torch.equal(loaded.encode(x), trained.encode(x))


def test_weights_in_half_precision_say_so_and_keep_the_inverse(whole: Run, digits: Dataset, tmp_path: Path) -> None:
    """Read back as float32 with float16's precision; the rotations' constants keep theirs."""
    half = Run(tmp_path / "half", whole.config)
    half.create()
    half.save_weights(whole.load_model(), half=True)
    assert half.weights.stat().st_size < whole.weights.stat().st_size
    model, exact = half.load_model(), whole.load_model()
    assert isinstance(model, PIE)
    assert all(torch.equal(p, q.half().float()) for p, q in zip(model.parameters(), exact.parameters(), strict=True))
    x = digits.test.images[:20].float() / 255
    z, residuals, _ = model(x)
    torch.testing.assert_close(model.decode(z, residuals), x, atol=1e-4, rtol=0)
    torch.testing.assert_close(z, exact.encode(x), atol=0.02, rtol=0)
    tensors, metadata = load_tensors(half.weights)
    save_tensors(half.weights, tensors, {name: value for name, value in metadata.items() if name != "parameters"})
    with pytest.raises(PIEError, match="float16"):
        half.load_model()


@pytest.mark.parametrize("width", [120, 80, 40])
def test_the_bar_fits_into_the_terminal(width: int) -> None:
    """At 80 columns and at 40 it keeps the epoch, the bar, a whole MSE and the time left, uncut."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    display = TrainingDisplay(console, "pie-digits-d10-eps0.01-affine-seed0")
    display.start(4290, 429, 128, 0)
    display.mse, display.shown = "0.0171", 0.0
    display.step(1200, torch.tensor(3.4567))
    console.print(display.bar)
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(line.rstrip()) <= width
    assert "epoch 3/10" in line
    assert "━" in line
    assert "MSE 0.0171" in line
    assert ":" in line.split("MSE 0.0171")[1]
    assert "…" not in line
