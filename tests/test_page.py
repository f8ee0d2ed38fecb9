"""The page of a full reproduction, from made-up numbers: two recipes, three seeds, every table and figure."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from pie_cli.config.naming import run_name
from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource
from pie_cli.evaluation.cache import Evaluation
from pie_cli.evaluation.evaluate import MEASURES
from pie_cli.evaluation.measure import audit
from pie_cli.jobs.place import Place
from pie_cli.metrics.classifier import Classifier
from pie_cli.metrics.inference import clean
from pie_cli.metrics.realism import Panel
from pie_cli.models.config import PIEConfig
from pie_cli.paper.claims import Verdict
from pie_cli.paper.report import results_report
from pie_cli.paper.reproduce import Verdicts, paper_runs, present, print_verdicts
from pie_cli.paper.suite import Suite


def made_up(config: RunConfig, random: np.random.Generator) -> Evaluation:
    """Return an evaluation in which ε₀² decides the MSE with the paper's text, and nothing with our recipe."""
    numbers = {name: 0.5 + 0.01 * random.random() for name in MEASURES}
    numbers |= {"sharpness_error": 0.001, "sharpness_unclipped": 0.1, "samples": 10_000.0}
    if isinstance(config.model, PIEConfig) and config.recipe == "letter":
        numbers["mse"] = config.model.eps2 * (1 + 0.01 * random.random())
    pictures = {
        name: random.integers(0, 256, (*shape, 1, 28, 28), dtype=np.uint8)
        for name, shape in {"reconstructions": (20,), "samples": (400,), "narrow": (40,), "paths": (20, 10)}.items()
    }
    audited = audit(torch.rand(100, 1, 8, 8))
    each, plane = random.random(50, dtype=np.float32), random.random((300, 2), dtype=np.float32)
    return Evaluation(numbers, audited, each, plane, pictures)


@pytest.fixture(scope="module")
def presented(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdicts, Suite]:
    """The folder, the verdicts and the suite of a full reproduction that claims to be MNIST's."""
    folder, random = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    suite = Suite(Place(folder, ImageSource("mnist"), "cpu", 1), 10, Console(file=io.StringIO(), width=200))
    vars(suite)["dataset"] = digits
    vars(suite)["panel"] = Panel.of([Classifier((1, 28, 28), 10)], clean(digits.test))
    configs = paper_runs(suite, 3, 3)
    evaluations = {run_name(config): made_up(config, random) for config in configs}
    floors = {name: dict(made_up(configs[0], random).numbers) for name in ("pca-d10", "pca-d8", "normal-d10")}
    return folder, present(suite, [suite.place.run(c) for c in configs], evaluations, floors), suite


def test_both_recipes_have_a_verdict_on_each_claim(presented: tuple[Path, Verdicts, Suite]) -> None:
    folder, verdicts, _ = presented
    assert [len(judgements) for judgements in verdicts.values()] == [8, 8]
    assert verdicts["letter"][0].verdict is Verdict.HOLDS  # lower ε₀² reconstructs better
    assert verdicts["stable"][0].verdict is Verdict.FAILS
    assert Verdict.NOT_COMPARABLE not in {j.verdict for of in verdicts.values() for j in of}
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page.index("| letter | stable |") < page.index("## ")  # the claims come first
    assert "| 1 | Lower ε₀² reconstructs better. | 5.1, Fig. 7a | **HOLDS** | **FAILS** |" in page
    assert re.search(r"- holds: MSE lower at 0\.01 than at 0\.1 \(by (8\.9|9)\S* ± \S+; least effect 0\.05\)", page)
    assert "## Goals" in page
    assert "Quick profile" not in page
    claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    assert [claims["claims"][recipe][0]["verdict"] for recipe in ("letter", "stable")] == ["HOLDS", "FAILS"]
    for picture in (f"fig{number}-{recipe}.png" for number in (7, 8, 9) for recipe in ("letter", "stable")):
        assert f"({picture})" in page
        assert (folder / picture).stat().st_size > 1000


def test_the_report_for_a_browser_says_the_same_and_leads_to_what_is_there(
    presented: tuple[Path, Verdicts, Suite],
) -> None:
    folder, _, suite = presented
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert '<td><strong class="holds">HOLDS</strong></td><td><strong class="fails">FAILS</strong></td>' in report
    assert report.count("<table>") == 5  # claims, goals, Table 1, its audit, all runs
    links = set(re.findall(r'(?:href|src)="([^"#]+)"', report))
    assert {"fig7-letter.png", "fig9-stable.png", "table1.png", "table1.csv", "evaluation.tex"} <= links
    assert [link for link in links if not (folder / link).is_file()] == []

    run = suite.place.run(paper_runs(suite, 1, 1)[0])
    page = folder / run.name / "figures" / "page.html"
    page.parent.mkdir(parents=True)
    page.write_text("a page", encoding="utf-8")
    results = (folder / "README.md").read_text(encoding="utf-8")
    assert f'<a href="{run.name}/figures/page.html">{run.label}</a>' in results_report(results, [run], folder)


def test_every_family_has_its_column_and_spread(presented: tuple[Path, Verdicts, Suite]) -> None:
    table = (presented[0] / "evaluation.md").read_text(encoding="utf-8")
    names = [cell.strip() for cell in table.splitlines()[0].split("|")[1:-1]]
    assert {"pca-d10", "true", "pie-d8-eps0.1-letter", "pie-d10-eps0.01", "pie-d10-eps0.01-warm", "wae-d8"} <= {*names}
    mse = next(line for line in table.splitlines() if line.startswith("| MSE from z alone  "))
    assert "±" in mse.split("|")[1 + names.index("vae-d10")]


def test_a_failing_claim_is_an_error_only_if_it_is_asked_for(presented: tuple[Path, Verdicts, Suite]) -> None:
    from pie_cli.errors import PIEError

    _, verdicts, suite = presented
    print_verdicts(suite, verdicts, strict=False)
    with pytest.raises(PIEError, match=r"claim .*1 \(stable\)"):
        print_verdicts(suite, verdicts, strict=True)
