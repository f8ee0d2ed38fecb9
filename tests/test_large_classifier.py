"""The classifier of colour and larger images: it learns, is bounded, and its accuracy stands beside what it judges."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from pie_cli.data.base import ImageSet
from pie_cli.data.load import ImageSource
from pie_cli.io.tensors import load_tensors
from pie_cli.jobs.place import Place
from pie_cli.metrics import classifier, realism
from pie_cli.metrics.classifier import Classifier, is_large, load_or_train_classifiers, predictions, train_classifier
from pie_cli.metrics.realism import Panel
from pie_cli.paper.suite import Suite
from tests import made_up

CLASSES = ("a", "b", "c", "d", "e")  # the last of which no image has


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 32, 32), (1, 40, 64), (3, 64, 64), (3, 8, 256), (4, 256, 256)])
def test_any_size_has_features_and_few_weights(shape: tuple[int, int, int]) -> None:
    assert is_large(shape)
    model = Classifier(shape, 3).eval()
    x = torch.rand(2, *shape)
    assert model.features(x).shape == (2, 64)
    assert model(x).shape == (2, 3)
    assert (model.features(x) >= 0).all()
    assert sum(p.numel() for p in model.parameters()) < 200_000


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (1, 32, 32)])
def test_small_grey_images_keep_the_classifier_of_the_record(shape: tuple[int, int, int]) -> None:
    assert not is_large(shape)
    assert [type(layer).__name__ for layer in Classifier(shape, 10).body] == [
        *("Conv2d", "ReLU", "MaxPool2d") * 2, "Flatten", "Linear", "ReLU",
    ]  # fmt: skip


def test_it_learns_colour_and_knows_all_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "MIN_STEPS", 60)
    dataset = made_up.dataset((3, 16, 16), (300, 20, 60), CLASSES)
    assert dataset.train.labels is not None
    some = ImageSet(dataset.train.images, dataset.train.labels % 4)
    lines: list[str] = []
    first, *_ = load_or_train_classifiers(tmp_path, some, "made-up", lines.append, len(CLASSES))
    assert first.head.out_features == len(CLASSES)
    assert all("some minutes" in line for line in lines)
    seen = predictions(first, some.images.float() / 255)
    assert some.labels is not None
    assert seen.eq(some.labels).float().mean() > 0.9
    again, *_ = load_or_train_classifiers(tmp_path, some, "made-up", lines.append, len(CLASSES))
    assert len(lines) == 3
    assert torch.equal(predictions(again, some.images.float() / 255), seen)


def test_many_images_are_seen_less_often_and_never_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "MIN_STEPS", 1)
    dataset, taken = made_up.dataset((3, 8, 8), (300, 5, 5), CLASSES), list[int]()
    read = ImageSet.take

    def take(images: ImageSet, indices: Tensor) -> Tensor:
        taken.append(len(indices))
        return read(images, indices)

    monkeypatch.setattr(ImageSet, "take", take)
    train_classifier(dataset.train, most_steps=2)
    assert taken == [128, 128, 44]  # one epoch


def test_quick_runs_are_judged_by_classifiers_of_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "MIN_STEPS", 1)
    monkeypatch.setattr(realism, "QUICK_STEPS", 2)
    Panel.load_or_train(tmp_path, made_up.dataset((3, 8, 8), (40, 5, 5), CLASSES).quick)
    for path in (stored := list(tmp_path.glob("*.safetensors"))):
        assert "steps 1 to 2," in load_tensors(path)[1]["training"]
    assert len(stored) == len(classifier.SEEDS)


def test_accuracy_stands_beside_what_rests_on_it(tmp_path: Path) -> None:
    dataset = made_up.dataset((3, 8, 8), (40, 5, 50), CLASSES)
    panel = Panel.of([Classifier(dataset.image_shape, 5).eval()], dataset.test)
    assert dataset.test.labels is not None
    right = predictions(panel.judges[0].classifier, dataset.test.images.float() / 255).eq(dataset.test.labels)
    assert panel.accuracy(dataset.test.labels) == pytest.approx(right.double().mean().item())
    suite = Suite(Place(tmp_path, ImageSource("digits"), "cpu", 1), 10, Console(file=io.StringIO()))
    vars(suite).update(dataset=dataset, panel=panel)
    shown = f"{panel.accuracy(dataset.test.labels):.3f}"
    assert suite.judged == f"; classifiers' accuracy {shown}"
    assert f"classifiers' accuracy on them: {shown}" in suite.origin([])
    vars(suite).update(dataset=made_up.dataset(), panel=Panel([]))
    assert suite.judged == ""
    assert "classifiers' accuracy on them: –" in suite.origin([])


def test_images_too_small_for_a_classifier_have_no_judges() -> None:
    panel = Panel.load_or_train(Path("nowhere"), made_up.dataset((1, 4, 8), classes=CLASSES))
    assert panel.judges == []
    assert math.isnan(panel.accuracy(torch.zeros(5)))
