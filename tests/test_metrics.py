"""Measures agree with known values; and the classifier behind `realism`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from sklearn.datasets import load_digits
from torch import Tensor

from pie_cli import PIE, PIEConfig
from pie_cli.data.base import ImageSet
from pie_cli.evaluation import cache
from pie_cli.evaluation.evaluate import grey_levels
from pie_cli.evaluation.measure import samples
from pie_cli.metrics.classifier import Classifier, features_of, load_or_train_classifier
from pie_cli.metrics.codes import (
    code_statistics,
    cross_validated_knn_accuracy,
    distance_from_gaussian,
    knn_accuracy,
    linear_probe_accuracy,
    silhouette,
    trustworthiness,
)
from pie_cli.metrics.images import (
    LAPLACIANS,
    laplacian_variance,
    reconstruction_mse,
    sharpness,
    squared_error,
    ssim,
)
from pie_cli.metrics.realism import Judge, Panel, frechet_distance, precision_recall_density_coverage
from pie_cli.paper.summary import means
from pie_cli.plots import figures


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Sharpness


def test_laplacian_variance_by_hand() -> None:
    """One white pixel in 5×5: of nine responses one is −4 and four are 1, so the variance is 20/9 − 0²."""
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    assert laplacian_variance(image).tolist() == pytest.approx([20 / 9])
    assert laplacian_variance(image, border="zero").tolist() == pytest.approx([20 / 25])
    assert laplacian_variance(image, kernel="eight").tolist() == pytest.approx([72 / 9])


@pytest.mark.parametrize("kernel", ["four", "eight"])
@pytest.mark.parametrize(("border", "mode"), [("valid", "valid"), ("reflect", "mirror"), ("zero", "constant")])
def test_laplacian_variance_is_scipys(kernel: Any, border: Any, mode: Any) -> None:
    images = uniform(3, 1, 9, 7)
    weights = np.array(LAPLACIANS[kernel])
    for image, value in zip(images[:, 0].numpy(), laplacian_variance(images, kernel, border), strict=True):
        response = convolve(image, weights, mode="mirror" if mode == "valid" else mode)
        expected = response[1:-1, 1:-1] if mode == "valid" else response
        assert value.item() == pytest.approx(expected.var(), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-1, 1), scale=st.floats(-3, 3), channels=st.sampled_from([1, 2, 3]))
def test_laplacian_variance_ignores_brightness_and_squares_contrast(shift: float, scale: float, channels: int) -> None:
    images = uniform(2, channels, 8, 8).double()
    expected = scale**2 * laplacian_variance(images)
    torch.testing.assert_close(laplacian_variance(scale * images + shift), expected)


def test_grey_colours_are_as_sharp_as_grey() -> None:
    grey = uniform(2, 1, 8, 8)
    torch.testing.assert_close(laplacian_variance(grey.expand(2, 3, 8, 8)), laplacian_variance(grey))


def test_sharpness_is_mean_and_standard_error() -> None:
    images = uniform(50, 1, 8, 8)
    values = laplacian_variance(images).numpy()
    assert sharpness(images) == pytest.approx((values.mean(), values.std(ddof=1) / 50**0.5), rel=1e-5)


@pytest.mark.parametrize("wrong", [{"kernel": "six"}, {"border": "same"}])
def test_unknown_laplacian_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        laplacian_variance(torch.zeros(1, 1, 8, 8), **wrong)


# Reconstruction


def test_reconstruction_is_judged_as_seen() -> None:
    x = torch.ones(2, 1, 12, 12)
    too_bright = x + 0.5
    assert reconstruction_mse(x, too_bright) == 0
    assert reconstruction_mse(x, too_bright, clip=False) == pytest.approx(0.25)
    dark_second = torch.stack([x[0], 0.5 * x[1]])
    assert squared_error(x, dark_second).tolist() == pytest.approx([0, 0.25])


def test_ssim_per_image() -> None:
    x = uniform(2, 1, 16, 16)
    noisy = torch.stack([x[0], uniform(1, 16, 16, seed=1)])
    values = ssim(x, noisy)
    assert values[0].item() == pytest.approx(1)
    assert values[1].item() < 0.3


# Codes


def test_separable_blobs_are_separated() -> None:
    labels = torch.arange(200) % 4
    codes = 20 * torch.eye(4)[labels] + normal(200, 4)
    train, test = slice(0, 100), slice(100, 200)
    for accuracy in (knn_accuracy, linear_probe_accuracy):
        assert accuracy(codes[train], labels[train], codes[test], labels[test]) == 1
    assert cross_validated_knn_accuracy(codes, labels) == 1
    assert silhouette(codes, labels, points=150) > 0.8
    assert silhouette(codes, labels.roll(1) // 2) < 0.8
    rotation = torch.linalg.qr(normal(4, 4)).Q
    assert trustworthiness(codes, codes @ rotation, points=150) == pytest.approx(1)
    assert trustworthiness(codes, normal(200, 4, seed=1)) < 0.7


def test_code_statistics_of_the_prior_and_of_others() -> None:
    z = normal(20_000, 4)
    normals = {"largest_mean": 0, "std": 1, "kurtosis": 0, "largest_covariance": 0}
    assert code_statistics(z) == pytest.approx(normals, abs=0.05)
    moved = 2 * z - torch.tensor([0.0, 0.0, 0.0, 3.0])
    assert code_statistics(moved) == pytest.approx({**normals, "largest_mean": 3, "std": 2}, abs=0.1)
    flat = uniform(20_000, 4)
    assert code_statistics(flat)["kurtosis"] == pytest.approx(1.2, abs=0.05)
    # A Laplace distribution has an excess kurtosis of 3, a uniform one of -1.2: they do not cancel.
    heavy = torch.from_numpy(np.random.default_rng(0).laplace(size=(200_000, 1))).float()
    both = torch.cat([heavy, uniform(200_000, 1)], 1)
    assert code_statistics(both)["kurtosis"] == pytest.approx(2.1, abs=0.1)
    turned = z @ torch.tensor([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert code_statistics(turned)["largest_covariance"] == pytest.approx(0.5, abs=0.05)
    assert code_statistics(z[:, :1])["largest_covariance"] == 0


# Realism


def test_frechet_distance_of_known_gaussians() -> None:
    """Between N(0, S) and N(m, c²S) it is |m|² + (1 − c)² Tr S; samples transformed alike have exactly such moments."""
    a = normal(500, 6) @ normal(6, 6, seed=1)
    shift = normal(6, seed=2)
    centred = a - a.mean(0)
    b = 3 * centred + a.mean(0) + shift
    expected = shift.square().sum() + 4 * centred.square().sum() / 499
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-5)
    assert frechet_distance(b, a) == pytest.approx(expected.item(), rel=1e-5)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_gaussians_that_do_not_commute() -> None:
    """In two dimensions Tr (Σ_a Σ_b)^½ = √(Tr Σ_a Σ_b + 2 √(|Σ_a| |Σ_b|))."""
    a, b = normal(300, 2) @ normal(2, 2, seed=1), normal(200, 2, seed=2) @ normal(2, 2, seed=3)
    cov_a, cov_b = torch.cov(a.T).double(), torch.cov(b.T).double()
    root = ((cov_a @ cov_b).trace() + 2 * (cov_a.det() * cov_b.det()).sqrt()).sqrt()
    expected = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-5)


def test_a_feature_that_is_not_finite_has_no_frechet_distance() -> None:
    a = normal(20, 3)
    b = a.clone()
    b[0, 0] = torch.inf
    assert np.isnan(frechet_distance(a, b))
    assert precision_recall_density_coverage(a, b)["precision"] == pytest.approx(19 / 20)


def test_an_infinite_pixel_is_not_clipped_to_a_real_image() -> None:
    classifier, images = Classifier((1, 8, 8), 10), uniform(20, 1, 8, 8)
    judge, broken = Judge(classifier, features_of(classifier, images)), images.clone()
    broken[0, 0, 0, 0] = torch.inf
    found = judge.realism(broken)
    assert found["precision"] == pytest.approx(19 / 20)
    assert not judge.accepts(broken)[0]
    assert found["accepted"] == pytest.approx(judge.accepts(broken)[1:].sum() / 20)
    assert np.isnan([found["frechet_distance"], found["confidence"]]).all()


def test_distance_from_gaussian_is_small_for_one_and_large_for_two() -> None:
    assert distance_from_gaussian(normal(4000, 2)) < 0.02
    # Half of the points at −1 and half at 1: at the first step the distribution function is ½, a Gaussian's Φ(−1).
    two = torch.tensor([-1.0, 1.0]).repeat(2000)[:, None]
    assert distance_from_gaussian(two) == pytest.approx(0.5 - 0.15866, abs=1e-3)


def test_precision_and_recall_at_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pie_cli.metrics.realism.CHUNK", 30)  # several chunks, the last one smaller
    real = normal(100, 5)
    same = precision_recall_density_coverage(real, real.flip(0))
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["density"] == pytest.approx(1, abs=0.3)
    far = precision_recall_density_coverage(real, real + 100)
    assert set(far.values()) == {0.0}
    one_mode = torch.cat([real[:50] - 20, real[50:] + 20])
    narrow = precision_recall_density_coverage(one_mode, normal(80, 5, seed=1) + 20)
    assert narrow["precision"] > 0.8
    assert narrow["recall"] <= 0.5
    assert narrow["coverage"] <= 0.5


def test_precision_and_recall_against_the_definition() -> None:
    real, generated, k = normal(60, 3), 1.3 * normal(40, 3, seed=1), 3
    within = [np.sort(torch.cdist(x, x).numpy(), 1)[:, k] for x in (real, generated)]
    distances = torch.cdist(real, generated).numpy()
    inside_real = distances < within[0][:, None]
    assert precision_recall_density_coverage(real, generated, k) == pytest.approx(
        {
            "precision": inside_real.any(0).mean(),
            "recall": (distances < within[1]).any(1).mean(),
            "density": inside_real.sum(0).mean() / k,
            "coverage": inside_real.any(1).mean(),
        }
    )
    with pytest.raises(ValueError, match="k must be"):
        precision_recall_density_coverage(real, generated, 40)


# The classifier


def digits() -> tuple[ImageSet, Tensor, Tensor]:
    """1,000 of scikit-learn's 8×8 digits to train on; the others, in [0, 1], and their labels to test with."""
    data = load_digits()
    images = torch.from_numpy(np.rint(data.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(data.target).long()
    return ImageSet(images[:1000], labels[:1000]), images[1000:].float() / 255, labels[1000:]


def test_classifier_learns_is_cached_and_is_mended(tmp_path: Path) -> None:
    train, images, labels = digits()
    messages: list[str] = []
    before = torch.get_rng_state()

    classifier = load_or_train_classifier(tmp_path, train, "digits", messages.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert (classifier(images).argmax(1) == labels).float().mean() > 0.9
    features = features_of(classifier, images)
    assert features.shape == (len(images), 64)
    assert "does not exist" in messages.pop()

    assert torch.equal(
        features_of(load_or_train_classifier(tmp_path, train, "digits", messages.append), images), features
    )
    assert not messages

    (path,) = tmp_path.glob("[!.]*")
    intact = path.read_bytes()
    for damaged in (intact[:-1] + bytes([intact[-1] ^ 1]), intact[:100]):
        path.write_bytes(damaged)
        mended = load_or_train_classifier(tmp_path, train, "digits", messages.append)
        assert "is damaged" in messages.pop()
        assert torch.equal(features_of(mended, images), features)
        load_or_train_classifier(tmp_path, train, "digits", messages.append)
        assert not messages

    load_or_train_classifier(tmp_path, ImageSet(train.images.flip(3), train.labels), "digits", messages.append)
    assert "other data" in messages.pop()

    real, generated = images[:300], images[300:600]
    judge = Judge(classifier, features_of(classifier, real))
    good, bad = judge.realism(generated), judge.realism(uniform(300, 1, 8, 8))
    assert list(good) == ["frechet_distance", "precision", "recall", "density", "coverage", "confidence", "accepted"]
    assert good["frechet_distance"] < bad["frechet_distance"] / 5
    assert good["coverage"] > 2 * bad["coverage"]
    assert good["confidence"] > bad["confidence"]
    assert good["accepted"] > 0.8 > 0.6 > bad["accepted"]  # noise of 64 pixels is not far from a digit
    assert judge.recognises(real, labels[:300]).float().mean() > 0.9

    other = load_or_train_classifier(tmp_path, train, "digits", messages.append, seed=1)
    panel = Panel.of([classifier, other], real)
    distances = [one.realism(generated)["frechet_distance"] for one in panel.judges]
    assert distances[0] != distances[1]
    found = panel.realism(generated)
    assert found["frechet_distance"] == pytest.approx(np.mean(distances))
    assert found["frechet_distance_spread"] == pytest.approx(np.std(distances, ddof=1))


def test_classifier_refuses_tiny_images() -> None:
    with pytest.raises(ValueError, match="image_shape"):
        Classifier((1, 7, 28), 10)


def test_a_model_without_a_finite_sample_is_measured(tmp_path: Path) -> None:
    """It is counted and has no other number; the page's figure leaves its distribution out."""
    model = PIE(PIEConfig(image_shape=(1, 8, 8), latent_dim=4, conv_width=4, dense_width=16))
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    panel = Panel([Judge(Classifier((1, 8, 8), 10), normal(20, 64)) for _ in range(2)])
    numbers, audit, each, drawn = samples(model, 20, panel)
    assert numbers["samples_not_finite"] == numbers["samples"] == 20
    unknown = [
        numbers[name] for name in ("sharpness", "sharpness_error", "frechet_distance", "frechet_distance_spread")
    ]
    assert np.isnan([*unknown, *audit.values()]).all()
    assert numbers["accepted_spread"] == 0
    plane = np.zeros((3, 2), np.float32)
    measured = cache.Evaluation(numbers, audit, each.numpy(), plane, {"samples": grey_levels(drawn)})
    cache.keep(tmp_path / "evaluation.json", "key", measured)
    kept = cache.kept(tmp_path / "evaluation.json", "key")
    assert kept is not None
    np.testing.assert_equal(kept.numbers, numbers)
    real = uniform(30, 1, 8, 8)
    true = laplacian_variance(real).numpy(), real[: len(drawn)].numpy()
    figure = figures.sharpness([true[0], kept.sharpness], [true[1], kept.picture("samples")], ["true", "PIE"], "title")
    figures.save(figure, tmp_path / "table1")


def test_the_error_of_several_trainings_has_their_spread() -> None:
    """Between seeds sharpness differs by more than the error over the images of one."""
    runs = [{"sharpness": 0.1, "sharpness_error": 0.001}, {"sharpness": 0.12, "sharpness_error": 0.001}]
    assert means({"pie": runs[:1]})["pie"] == pytest.approx(runs[0])
    assert means({"pie": runs})["pie"] == pytest.approx({"sharpness": 0.11, "sharpness_error": (2.01e-4 / 2) ** 0.5})
