"""Table 1 and the evaluation: what is trained, what is refused, what the columns mean."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from pie_cli.config.naming import family, run_config, train_command
from pie_cli.data.base import DatasetName
from pie_cli.data.load import ImageSource, load_dataset
from pie_cli.evaluation.floors import PCA
from pie_cli.evaluation.measure import audit
from pie_cli.jobs.place import Place
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.paper.reproduce import paper_runs
from pie_cli.paper.suite import Suite
from pie_cli.paper.summary import means, summary
from pie_cli.plots.tables import print_table
from tests.conftest import pie


def test_train_command_trains_exactly_this_run() -> None:
    """The command in messages leads to the same configuration."""
    config = run_config("pie", latent_dim=8, dataset="digits", epochs=3, noise=0.5, seed=4, eps2=0.1, scale="additive")
    done = pie(*train_command(config, Path("results")).split()[1:], "--dry-run")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout[: done.stdout.index("\ndevice")])
    assert printed == config.to_dict()


def test_pca_is_the_best_linear_floor() -> None:
    """Its error is what the discarded principal directions hold."""
    dataset = load_dataset("digits", report=lambda line: None)
    model = PCA(dataset, 10)
    x = dataset.train.images.float() / 255
    values = torch.linalg.eigvalsh(x.flatten(1).double().T.cov(correction=0))
    assert reconstruction_mse(x, model.reconstruct(x), clip=False) == pytest.approx(
        values[:-10].sum().item() / 784, rel=1e-3
    )


def test_audit_changes_one_thing_at_a_time() -> None:
    images = torch.rand(200, 1, 8, 8) * 1.4 - 0.2
    values = audit(images)
    base = values["four neighbours, valid, [0, 1], clipped"]
    assert base == next(iter(values.values()))
    assert values["four neighbours, valid, [−1, 1], clipped"] == pytest.approx(4 * base, rel=1e-4)
    assert values["four neighbours, valid, [0, 255], clipped"] == pytest.approx(255**2 * base, rel=1e-4)
    not_clipped = values["four neighbours, valid, [0, 1], not clipped"]
    assert not_clipped > base
    assert values["four neighbours, valid, [−1, 1], not clipped"] == pytest.approx(4 * not_clipped, rel=1e-4)
    assert values["the first, minimum of 100 images"] < base
    assert values["eight neighbours, valid, [0, 1], clipped"] > base
    # RealNVP's logit of one grey level of a flat image is as flat.
    assert audit(torch.full((100, 1, 8, 8), 0.5))["four neighbours, valid, logits"] == pytest.approx(0, abs=1e-6)
    step = torch.tensor([[0.0, 1.0]]).repeat(100, 1, 8, 4)
    low, high = (math.log(p / (1 - p)) for p in (0.05, 0.05 + 0.95 * 255 / 256))
    ratio = audit(step)["four neighbours, valid, logits"] / audit(step)["four neighbours, valid, [0, 1], clipped"]
    assert ratio == pytest.approx((high - low) ** 2, rel=1e-3)


def test_summary_shows_the_spread_of_seeds() -> None:
    pies = [{"mse": 0.02, "frechet_distance": 80.0}, {"mse": 0.03, "frechet_distance": 110.0}]
    table = summary({"pie-d10": pies, "vae-d10": [{"mse": 0.05}]}).set_index("")
    assert table.loc["samples at N(0, 1): Fréchet distance", "pie-d10"] == "95 ± 20"
    assert table.loc["MSE from z alone", "pie-d10"] == "0.025 ± 0.007"
    assert table.loc["MSE from z alone", "vae-d10"] == 0.05


def test_a_narrow_terminal_cuts_no_number() -> None:
    text = io.StringIO()
    frame = pd.DataFrame({"": ["row"], **{f"a long name {i}": [0.123456 + i] for i in range(12)}})
    print_table(Console(file=text, width=40), frame, "title")
    assert "…" not in text.getvalue()
    assert "0.1235" in text.getvalue()
    assert "11.12" in text.getvalue()


def test_worst_cases_are_not_averaged() -> None:
    """An inverse that fails for one seed fails."""
    runs = [{"mse": 0.02, "inverse_error": 1e-5, "samples_not_finite": 0.0}]
    runs += [{"mse": 0.04, "inverse_error": 0.5, "samples_not_finite": 7.0}]
    assert means({"pie": runs})["pie"] == pytest.approx({"mse": 0.03, "inverse_error": 0.5, "samples_not_finite": 7.0})
    table = summary({"pie": runs}).set_index("")
    assert table.loc["exact inverse: largest error, float32", "pie"] == 0.5


def test_seeds_of_pie_and_of_the_baselines() -> None:
    suite = Suite(Place(Path("results"), ImageSource("mnist"), "cpu", 1), 10, Console())
    seeds: dict[str, list[int]] = {}
    for config in paper_runs(suite, seeds=3, baseline_seeds=2):
        seeds.setdefault(family(config), []).append(config.resolved.seed)
    baselines = {name: of for name, of in seeds.items() if not name.startswith("pie")}
    assert baselines == {f"{model}-d{d}": [0, 1] for model in ("vae", "wae") for d in (8, 10)}
    assert {name for name, of in seeds.items() if of == [0, 1, 2]} == {
        "pie-d10-eps0.01-warm",
        *(f"pie-d{d}-eps{eps2}{of}" for d in (8, 10) for eps2 in ("0.01", "0.1", "1") for of in ("", "-letter")),
    }


@pytest.mark.parametrize(
    ("epochs", "dataset", "reason"), [(1, "mnist", "quick"), (10, "digits", "MNIST"), (10, "mnist", "")]
)
def test_only_full_trainings_on_mnist_compare_with_the_paper(epochs: int, dataset: DatasetName, reason: str) -> None:
    suite = Suite(Place(Path("results"), ImageSource(dataset), "cpu", 1), epochs, Console())
    assert reason in suite.incomparable
    assert bool(suite.incomparable) == bool(reason)
