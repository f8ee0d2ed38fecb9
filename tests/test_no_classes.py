"""Images without classes are evaluated and drawn: what needs classes is unknown, and nothing else is."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from pie_cli.config.naming import run_name
from pie_cli.data.base import Dataset
from pie_cli.data.digits import DIGITS
from pie_cli.data.load import ImageSource
from pie_cli.evaluation import cache, evaluate
from pie_cli.evaluation.floors import evaluate_normal
from pie_cli.jobs.place import Place
from pie_cli.metrics import inception
from pie_cli.metrics.classifier import Classifier, train_classifier
from pie_cli.metrics.realism import REALISM, Panel
from pie_cli.paper import figures as paper_figures
from pie_cli.paper import table1
from pie_cli.paper.claims import Verdict
from pie_cli.paper.reproduce import paper_runs, present
from pie_cli.paper.suite import Suite
from pie_cli.paper.summary import summary
from pie_cli.plots import figures
from pie_cli.plots.tables import markdown
from pie_cli.report.figures import draw_umap
from tests import made_up

OF_CLASSES = {
    "reconstruction_accuracy", "knn_accuracy", "probe_accuracy", "path_ends", "paths", "umap_silhouette",
    "umap_knn_accuracy", "gaussian_frechet_distance", "fitted_frechet_distance", "narrow_accepted",
    "narrow_frechet_distance", "narrow_recall", "half_accepted", "half_frechet_distance", "half_recall", *REALISM,
}  # fmt: skip
OF_TRAINING = {"training_seconds", "nll_treated", "residuals_over_eps2_treated"}  # of a model that was trained here


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, cache.Evaluation, Path]:
    dataset, run = made_up.dataset(), made_up.run(tmp_path_factory.mktemp("made") / "run")
    return dataset, evaluate.evaluate(run, dataset, Panel([]), "cpu"), run.folder


def test_what_needs_classes_is_unknown_and_the_rest_is_measured(
    evaluated: tuple[Dataset, cache.Evaluation, Path],
) -> None:
    dataset, evaluation, folder = evaluated
    unknown = {name for name in evaluate.MEASURES if math.isnan(evaluation.numbers[name])}
    assert unknown == OF_CLASSES | OF_TRAINING
    run = cache.Run.open(folder)
    assert cache.kept(folder / "evaluation.json", cache.key_of(run, dataset, Panel([]))) is not None
    assert cache.recorded(run, dataset, Panel([])) is not None
    assert cache.recorded(run, made_up.dataset(sizes=(120, 20, 41)), Panel([])) is None
    lines = markdown(summary({"PIE": [evaluation.numbers]})).splitlines()
    assert next(line for line in lines if "5-NN accuracy of z" in line).endswith(" – |")


def test_a_panel_without_judges_names_what_one_with_judges_does() -> None:
    real = torch.rand(30, 1, 8, 8)
    nobody = Panel.load_or_train(Path("nowhere"), made_up.dataset())
    found, full = nobody.realism(real), Panel.of([Classifier((1, 8, 8), 3), Classifier((1, 8, 8), 3)], real)
    assert found.keys() == full.realism(real).keys()
    assert all(map(math.isnan, [*found.values(), nobody.frechet_distance(real), nobody.mean(lambda judge: 1.0)]))
    with pytest.raises(ValueError, match="needs labels"):
        train_classifier(made_up.dataset().train)


def test_draws_of_the_prior_have_a_shape_alone() -> None:
    assert list(evaluate_normal(40, 3, quick=True)) == ["umap_distance_from_gaussian"]


def test_umap_without_classes_is_one_colour(tmp_path: Path) -> None:
    drawing = draw_umap(made_up.run(tmp_path / "run"), made_up.dataset(), "cpu", 0)
    assert list(drawing.numbers) == ["trustworthiness of the plane"]
    assert list(pd.read_csv(drawing.files[-1]).columns) == ["umap_1", "umap_2"]
    (axes,) = figures.embedding(torch.rand(9, 2).numpy(), None, "title", None).axes
    assert axes.get_legend() is None
    assert len(axes.collections) == 1


def test_the_papers_figures_and_table_1_without_classes(
    evaluated: tuple[Dataset, cache.Evaluation, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, evaluation, _ = evaluated
    suite = Suite(Place(tmp_path, ImageSource("digits"), "cpu", 1), 10, Console(file=io.StringIO()))
    vars(suite)["dataset"] = dataset
    monkeypatch.setattr(paper_figures, "run_name", lambda config: "one")
    paper_figures.draw_figures(suite, "stable", {"one": evaluation})
    assert {path.name for path in tmp_path.glob("*.png")} == {f"fig{number}-stable.png" for number in (7, 8, 9)}
    rows = [table1.true_images(dataset, Panel([])), table1.Row("PIE", math.nan, evaluation)]
    assert table1.frame(rows)[["accepted", "Fréchet distance", "precision"]].isna().all(axis=None)
    assert table1.frame(rows)["sharpness"].notna().all()
    assert table1.write(rows, tmp_path, "", quick=False)


def test_a_whole_page_without_classes(evaluated: tuple[Dataset, cache.Evaluation, Path], tmp_path: Path) -> None:
    """Claims that rest on classes cannot be judged; the others have a tendency."""
    dataset, evaluation, _ = evaluated
    suite = Suite(Place(tmp_path, ImageSource("digits"), "cpu", 1), 10, Console(file=io.StringIO()))
    vars(suite).update(dataset=dataset, panel=Panel([]))
    configs = paper_runs(suite, 3, 3)
    floors = {f"{name}-d{d}": dict(evaluation.numbers) for name in ("pca", "normal") for d in (8, 10)}
    runs = [suite.place.run(config) for config in configs]
    verdicts = present(suite, runs, {run_name(config): evaluation for config in configs}, floors)
    for judgements in verdicts.values():
        assert [j.claim for j in judgements if j.tendency is None] == [2, 3, 4, 5, 8]
        assert {j.verdict for j in judgements} == {Verdict.NOT_COMPARABLE}
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "UMAP plane: silhouette of the classes" in page
    assert not re.search(r"\bnan\b(?! min)", page)  # but for the minutes of runs that nobody trained


def test_inception_stands_beside_only_where_it_is_and_nobody_knows_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, measure = made_up.run(tmp_path / "run"), "inception_frechet_distance"
    kinds = [made_up.dataset(classes=classes) for classes in (None, ("a", "b"), DIGITS)]
    assert [measure in evaluate.measures_of(dataset.classes) for dataset in kinds] == [True, False, False]
    assert evaluate.measures_of(DIGITS) is evaluate.MEASURES
    assert not any("digit" in text for text in evaluate.measures_of(("a", "b")).values())

    assert math.isnan(evaluate.evaluate(run, kinds[0], Panel([]), "cpu").numbers[measure])
    keys = [cache.judgement_of(dataset, Panel([])) for dataset in kinds]
    monkeypatch.setattr(inception, "weights", lambda: tmp_path / "weights")  # which cannot be read
    assert [cache.judgement_of(dataset, Panel([])) == key for dataset, key in zip(kinds, keys, strict=True)] == [
        False, True, True,
    ]  # fmt: skip
    real, drawn = kinds[0].test, torch.rand(9, 1, 8, 8)
    assert math.isnan(inception.inception_frechet_distance(real, drawn))
    monkeypatch.setattr(inception, "_extractor", lambda: lambda images: images.float().mean((2, 3)))
    same = inception.inception_frechet_distance(real, real.images.float() / 255)
    assert same == pytest.approx(0, abs=1e-6)
    assert evaluate.evaluate(run, kinds[0], Panel([]), "cpu").numbers[measure] > 1
    assert math.isnan(inception.inception_frechet_distance(real, drawn / 0))
