"""The studies: their changes and options exist, their record reads back whole, and the page shows it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from pie_cli import PIE, PIEConfig
from pie_cli.config.naming import run_config
from pie_cli.config.run import RunConfig
from pie_cli.runs.folder import Run
from studies import study
from studies.changes import named
from studies.changes.experiment import Experiment
from studies.changes.models import nested_reflections
from studies.page import PAGE, STUDIES, page
from studies.study import Row, Study, recorded
from studies.variant import PCA
from tests.conftest import call, randomise


def test_every_change_exists(tmp_path: Path) -> None:
    words = [word for one in STUDIES for options in one.variants.values() for word in shlex.split(options)]
    names = {word[1:] for word in words if word.startswith("+") and word != PCA}
    plain = Experiment(Run(tmp_path, run_config("pie")))
    assert all(isinstance(changed := named(name)(plain), Experiment) and changed != plain for name in names)


@pytest.mark.parametrize("one", STUDIES, ids=lambda one: one.name)
def test_every_option_is_one_of_pie_train(
    one: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in one.variants:
        options = " ".join(word for word in shlex.split(one.options(variant)) if not word.startswith("+"))
        code, _, errors = call(f"train --dry-run --results-dir {tmp_path} {options}", capsys, monkeypatch)
        assert code == 0, f"{variant}: {errors}"


MODELS = ["scale_tanh", "scale_2_tanh", "scale_exp", "unit_range", "logits", "quarters", "nested_reflections"]


@pytest.mark.parametrize("name", MODELS)
def test_a_changed_model_is_a_bijection(name: str, tmp_path: Path) -> None:
    """Its inverse is exact, and its log-determinant is autograd's."""
    config = PIEConfig(image_shape=(1, 8, 8), latent_dim=3, scale="affine", dense_width=8, conv_width=4)
    experiment = named(name)(Experiment(Run(tmp_path, RunConfig(config, None))))
    plain, model = randomise(PIE(config), 0.1).double(), experiment.build(config)
    assert isinstance(model, PIE)
    randomise(model, 0.1).double()
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)

    def flow(one: Tensor) -> Tensor:
        z, residuals, _ = model(one[None])
        return torch.cat([z, *residuals], 1)[0]

    z, residuals, log_det = model(x)
    torch.testing.assert_close(model.decode(z, residuals), x)
    jacobian = torch.autograd.functional.jacobian(flow, x[0]).reshape(64, 64)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[0])
    if name not in ("nested_reflections", "unit_range"):  # the same weights, another function
        model.load_state_dict(plain.state_dict())
        assert not torch.allclose(model.encode(x), plain.encode(x))


def test_nested_reflections_leave_out_features(tmp_path: Path) -> None:
    config = PIEConfig(image_shape=(1, 8, 8), latent_dim=3, dense_width=8)
    run = Run(tmp_path, RunConfig(config, None))
    model = nested_reflections(Experiment(run)).build(config)
    assert isinstance(model, PIE)
    for rotation in model.first_rotations:
        assert torch.equal(rotation.vectors, rotation.vectors.triu())


@pytest.mark.parametrize("name", ["noise_level", "upright_fibres"])
def test_a_changed_training_teaches_every_network(name: str, tmp_path: Path) -> None:
    config = run_config("pie", latent_dim=3, image_shape=(1, 8, 8), dense_width=32, conv_width=8, noise=0.04)
    experiment = named(name)(Experiment(Run(tmp_path, config)))
    model = randomise(experiment.build(config.model), 0.1)
    assert isinstance(model, PIE)
    images = torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8)
    x = experiment.parts.treat(images, config.resolved, torch.Generator().manual_seed(0))
    taught = model.loss(x)
    taught.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.numel())
    assert not torch.equal(taught, model.eval().loss(x))
    z, residuals, _ = model(x)
    torch.testing.assert_close(model.decode(z, residuals), x, atol=1e-4, rtol=0)


def test_a_study_of_failed_trainings_has_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "TABLES", tmp_path)
    Study("one", "What?", {"bad": "--lr 9"}).write({"--lr 9 --epochs 3": {"options": "", "remark": "error: no"}})
    assert "error: no" in (tmp_path / "one.md").read_text(encoding="utf-8")
    assert recorded() == {}


def test_pages_show_the_tables_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
    table, _, _ = (study.TABLES / "accepted.md").read_text(encoding="utf-8").partition("\n\n")
    assert table in (PAGE.parent / "CRITERIA.md").read_text(encoding="utf-8")


def test_record_is_read_back_whole_but_for_failed_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "TABLES", tmp_path)
    one = Study("one", "What?", {"good": "", "bad": "--lr 9", "not run": "--lr 8", "longer": "--epochs 6"})
    good: Row = {"options": "--epochs 3", "commit": "a" * 40, "mse": 0.1 + 0.2, "mse_by_epoch": ".5 .4 .3"}
    bad: Row = {"options": "--lr 9 --epochs 3", "remark": "error: the loss is not finite"}
    longer: Row = {"options": "--epochs 6", "commit": "b" * 40, "mse": 0.25, "mse_by_epoch": ".5 .3"}
    one.write({row["options"]: row for row in (longer, bad, good)})

    rows = recorded()
    assert set(rows) == {"--epochs 3", "--epochs 6"}
    assert recorded(failed=True)[str(bad["options"])]["remark"] == bad["remark"]
    assert {name: rows["--epochs 3"][name] for name in good} == good
    table = pd.read_csv(tmp_path / "one.csv")
    assert list(table["variant"]) == ["good", "bad", "longer"]
    shown = (tmp_path / "one.md").read_text(encoding="utf-8")
    assert [word in shown for word in ("the loss is not finite", "aaaaaaa", "bbbbbbb")] == [True] * 3
