"""Sets of one image and of very many: what a measure cannot know is nan, and no set is in memory as floats at once."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pie_cli.config.run import TrainingConfig
from pie_cli.data.base import ImageSet
from pie_cli.evaluation import evaluate, floors, measure
from pie_cli.evaluation.floors import PCA, evaluate_pca
from pie_cli.evaluation.measure import sample_count
from pie_cli.metrics import classifier, images, inference
from pie_cli.metrics.classifier import Classifier
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import laplacian_variance, ssim
from pie_cli.metrics.realism import Panel, frechet_distance
from pie_cli.paper import table1
from pie_cli.report.figures import draw_progressive, draw_reconstructions, draw_umap
from pie_cli.report.pairs import choose_pairs
from pie_cli.training.validate import validate
from tests import made_up

CLASSES = ("a", "b", "c")


@pytest.mark.parametrize("classes", [CLASSES, None])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 9, 30])
def test_a_few_images_are_evaluated(count: int, classes: tuple[str, ...] | None, tmp_path: Path) -> None:
    dataset, run = made_up.dataset(sizes=(max(2, count), 1, count), classes=classes), made_up.run(tmp_path / "run")
    panel = Panel([]) if classes is None else Panel.of([Classifier((1, 8, 8), 3) for _ in range(2)], dataset.test)
    numbers = evaluate.evaluate(run, dataset, panel, "cpu").numbers
    always = "mse", "projected_mse", "ssim", "nll", "inverse_error", "inverse_error_float64", "samples_not_finite"
    assert all(math.isfinite(numbers[name]) for name in always)
    for name in ("precision", "frechet_distance", "accepted"):
        assert math.isnan(numbers[name]) == (classes is None or count <= 5)
    assert math.isnan(numbers["umap_distance_from_gaussian"]) == (count < 4)
    assert math.isnan(numbers["z_trustworthiness"]) == (count <= 10)
    evaluate_pca(dataset, 3, panel, quick=True)
    rows = [table1.true_images(dataset, panel)]
    assert table1.write(rows, tmp_path, "", quick=True)
    assert draw_umap(run, dataset, "cpu", 0).files
    assert draw_reconstructions(run, dataset, "cpu", 20).files


def test_what_a_few_cannot_tell_is_nan() -> None:
    assert umap_plane(torch.randn(3, 4), 0).isnan().all()
    assert umap_plane(torch.randn(7, 4), 0).isfinite().all()
    assert math.isnan(frechet_distance(torch.randn(1, 4), torch.randn(9, 4)))
    assert ssim(torch.rand(2, 1, 5, 9), torch.rand(2, 1, 5, 9)).isnan().all()
    assert len(inference.random_tenth(made_up.dataset(sizes=(9, 1, 1)).train)) == 1
    pairs, _ = choose_pairs(made_up.dataset(sizes=(9, 1, 5)), None, (None, None), (None, None))
    assert pairs == [(0, 1), (2, 3)]


def test_an_image_set_is_read_in_batches_and_given_back() -> None:
    dataset, given_back = made_up.dataset((3, 64, 64), (200, 3, 3)), list[bool]()
    mapped = replace(dataset.train, release=lambda: given_back.append(True))
    sizes = [len(batch) for batch in inference.batches(mapped)]
    assert sizes == [85, 85, 30]  # 2**20 // (3·64·64)
    assert given_back == [True] * 3
    assert torch.equal(torch.cat(list(inference.batches(mapped))), inference.clean(mapped))
    assert inference.batch_size((1, 28, 28)) == 1000
    assert inference.batch_size((3, 4096, 4096)) == 1


def test_no_part_is_converted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to evaluate a run nor to draw it, to train a classifier or to validate."""
    monkeypatch.setattr(inference, "BATCH", 10)
    monkeypatch.setattr(measure, "TREATED", 6400)
    monkeypatch.setattr(classifier, "MIN_STEPS", 1)
    dataset, read, whole = made_up.dataset(sizes=(200, 150, 150), classes=CLASSES), list[int](), Tensor.float

    def converted(images: Tensor) -> Tensor:
        if images.dtype is torch.uint8:
            read.append(len(images))
        return whole(images)

    monkeypatch.setattr(Tensor, "float", converted)
    run = made_up.run(tmp_path / "run")
    panel = Panel.load_or_train(tmp_path, dataset)
    evaluate.evaluate(run, dataset, panel, "cpu")
    draw_reconstructions(run, dataset, "cpu", 4)
    draw_progressive(run, dataset, "cpu", 1)
    draw_umap(run, dataset, "cpu", 0)
    validate(run.load_model("cpu"), dataset.validation, TrainingConfig(), 2)
    assert max(read) <= classifier.BATCH


def test_batches_change_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, run = made_up.dataset(), made_up.run(tmp_path / "run")
    first = evaluate.evaluate(run, dataset, Panel([]), "cpu").numbers
    (run.folder / "evaluation.json").unlink()
    monkeypatch.setattr(inference, "BATCH", 7)
    again = evaluate.evaluate(run, dataset, Panel([]), "cpu").numbers
    for name in ("mse", "ssim", "inverse_error", "nll", "z_std"):
        assert again[name] == pytest.approx(first[name], rel=1e-3, abs=1e-6)


def test_sharpness_of_large_images_is_that_of_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(7, 3, 12, 10)
    expected = laplacian_variance(x)
    monkeypatch.setattr(images, "LARGEST", 1000)
    torch.testing.assert_close(laplacian_variance(x), expected)
    assert sample_count(made_up.dataset(sizes=(3, 3, 11))) == 11
    huge = replace(made_up.dataset(), test=ImageSet(torch.zeros(1, dtype=torch.uint8).expand(5000, 3, 256, 256), None))
    assert sample_count(replace(huge, train=huge.test)) == 682


def test_components_of_large_and_of_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up.dataset((1, 8, 8), (300, 1, 1))
    exact = PCA(dataset, 4)
    with monkeypatch.context() as patch:
        patch.setattr(floors, "VALUES", 100)  # too many for a single covariance
        assert_same_plane(PCA(dataset, 4), exact)
    monkeypatch.setattr(floors, "EXACT", 10)
    assert_same_plane(PCA(dataset, 4), exact)
    few = PCA(replace(dataset, train=dataset.train[:3]), 5)
    assert few.axes.shape == (64, 5)
    assert few.axes.isfinite().all()


def assert_same_plane(one: PCA, other: PCA) -> None:
    torch.testing.assert_close(one.mean, other.mean, atol=1e-5, rtol=0)
    strongest = (one.axes.T @ other.axes).square().sum(0)[-1]
    assert strongest > 0.99
