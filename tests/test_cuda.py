"""A GPU gives the same results as the CPU; a training on it can be repeated and resumed bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from pie_cli import PIE, load_model
from pie_cli.data.base import Dataset
from pie_cli.errors import Interrupted
from pie_cli.io.tensors import load_tensors
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution, compute_in_float32
from pie_cli.training.loop import train
from tests.conftest import pie
from tests.test_training import Stopping, same, silent, small_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")


@pytest.fixture(autouse=True)
def _float32() -> None:
    compute_in_float32()


def test_the_model_is_the_same_function() -> None:
    here, there = load_model(SHOWCASE), load_model(SHOWCASE, "cuda")
    assert isinstance(here, PIE)
    assert isinstance(there, PIE)
    x = torch.rand(100, 1, 28, 28)
    with torch.no_grad():
        z, _, log_det = here(x)
        of_gpu = there(x.cuda())
        torch.testing.assert_close(of_gpu[0].cpu(), z, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(of_gpu[2].cpu(), log_det, atol=1e-2, rtol=1e-4)
        torch.testing.assert_close(there.decode(z.cuda()).cpu(), here.decode(z), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(there.decode(of_gpu[0], of_gpu[1]).cpu(), x, atol=1e-4, rtol=0)
    drawn = [model.sample(4, generator=torch.Generator().manual_seed(3)).cpu() for model in (here, there)]
    torch.testing.assert_close(*drawn, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shorter_types(dtype: torch.dtype) -> None:
    x = torch.rand(9, 1, 28, 28, device="cuda")
    reference = load_model(SHOWCASE, "cuda")
    assert isinstance(reference, PIE)
    for model, context in (
        (load_model(SHOWCASE, "cuda").to(dtype), torch.autocast("cuda", enabled=False)),
        (reference, torch.autocast("cuda", dtype)),
    ):
        assert isinstance(model, PIE)
        with torch.no_grad():
            z, decoded = reference.encode(x), reference.reconstruct(x)
            with context:
                torch.testing.assert_close(model.encode(x.to(dtype)).float(), z, atol=0.3, rtol=0.1)
                torch.testing.assert_close(model.decode(z.to(dtype)).float(), decoded, atol=0.3, rtol=0.1)
                assert model.log_prob(x.to(dtype)).isfinite().all()


@pytest.mark.parametrize("execution", [Execution("cuda"), Execution("cuda", recompute=True)])
def test_an_interrupted_training_ends_bit_identical(execution: Execution, digits: Dataset, tmp_path: Path) -> None:
    runs = [small_run(tmp_path / name, epochs=2) for name in ("whole", "again", "interrupted")]
    for run in runs[:2]:
        train(run, digits, execution, silent())
    for step in (7, 10):
        with pytest.raises(Interrupted):
            train(runs[2], digits, execution, Stopping(step, signal.SIGINT))
    train(runs[2], digits, execution, silent())
    weights = [load_tensors(run.weights)[0] for run in runs]
    assert same(weights[0], weights[1])
    assert same(weights[0], weights[2])


@pytest.mark.parametrize("option", ["", "--precision bf16-mixed", "--compile", "--recompute", "--model vae"])
def test_the_command_line_trains_and_draws(option: str, tmp_path: Path) -> None:
    place = ("--device", "cuda", "--results-dir", tmp_path)
    trained = pie("train", "--dataset", "digits", "--epochs", 1, *option.split(), *place, timeout=400)
    assert trained.returncode == 0, trained.stderr
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert "cuda" not in Run.open(folder).provenance["device"]  # but the GPU's name
    figure = pie("reconstruct", folder, *place)
    assert figure.returncode == 0, figure.stderr
