"""VAE and WAE agree with their definitions, and they learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F

from pie_cli.models.baselines import KERNEL_SCALES, RAE, VAE, WAE, mmd
from pie_cli.models.config import RAEConfig, VAEConfig, WAEConfig

Model = VAE | WAE | RAE


def vae(**fields: Any) -> VAE:
    return VAE(VAEConfig(**fields))


def gaussian_vae(**fields: Any) -> VAE:
    return VAE(VAEConfig(likelihood="gaussian", **fields))


def wae(**fields: Any) -> WAE:
    return WAE(WAEConfig(**fields))


def rae(**fields: Any) -> RAE:
    return RAE(RAEConfig(**fields))


every_model = pytest.mark.parametrize("build", [vae, gaussian_vae, wae, rae])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@every_model
@pytest.mark.parametrize("latent_dim", [1, 10])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 8, 12)])
def test_shapes_ranges_and_gradients(build: Callable[..., Model], shape: tuple[int, int, int], latent_dim: int) -> None:
    model = build(image_shape=shape, latent_dim=latent_dim, width=4)
    x = torch.rand(5, *shape)
    assert model.encode(x).shape == (5, latent_dim)
    for images in (model.reconstruct(x), model.decode(100 * torch.randn(5, latent_dim)), model.sample(5)):
        assert images.shape == x.shape
        assert images.min() >= 0
        assert images.max() <= 1
    terms = model.loss_terms(x)
    assert next(iter(terms)) == "loss"
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@every_model
def test_one_image_in_eval_mode(build: Callable[..., Model]) -> None:
    model = build(width=4).eval()
    x = torch.rand(3, 1, 28, 28)
    assert model.loss(x[:1]).isfinite()
    torch.testing.assert_close(model.reconstruct(x[:1]), model.reconstruct(x)[:1])


@every_model
def test_another_shape_is_an_error(build: Callable[..., Model]) -> None:
    model = build(width=4)
    for use in (model.encode, model.loss):
        with pytest.raises(ValueError, match="expected images of shape"):
            use(torch.rand(2, 1, 32, 32))
    with pytest.raises(ValueError, match="expected codes of shape"):
        model.decode(torch.zeros(2, 11))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vae_loss_is_the_negative_elbo(likelihood: str) -> None:
    model = VAE(VAEConfig(width=4, likelihood=likelihood, variance=0.3)).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.rand(6, 1, 28, 28).round()
    mean, log_variance = model.posterior(x)
    posterior = Normal(mean, log_variance.exp().sqrt())

    torch.manual_seed(1)
    terms = model.loss_terms(x)
    torch.manual_seed(1)
    images = model.decode(posterior.rsample())

    decoder = Bernoulli(images) if likelihood == "bernoulli" else Normal(images, math.sqrt(0.3))
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1).mean()
    reconstruction = -decoder.log_prob(x).sum((1, 2, 3)).mean()
    torch.testing.assert_close(terms["kl"], kl)
    torch.testing.assert_close(terms["reconstruction"], reconstruction)
    torch.testing.assert_close(terms["loss"], (reconstruction + kl) / 784)


def test_wae_loss_is_squared_error_plus_weighted_mmd() -> None:
    model = WAE(WAEConfig(width=4, mmd_weight=3.0)).eval()
    x = torch.rand(6, 1, 28, 28)
    torch.manual_seed(1)
    terms = model.loss_terms(x)
    torch.manual_seed(1)
    penalty = mmd(model.encode(x), torch.randn(6, 10))
    error = F.mse_loss(model.reconstruct(x), x) * 784
    torch.testing.assert_close(terms["loss"], (error + 3 * penalty) / 784)


def test_rae_loss_is_squared_error_plus_both_penalties() -> None:
    model = RAE(RAEConfig(width=4, latent_weight=3.0, decoder_weight=0.5)).eval()
    x = torch.rand(6, 1, 28, 28)
    error = F.mse_loss(model.reconstruct(x), x) * 784
    latent = model.encode(x).square().sum() / (2 * 6)
    weights = nn.utils.parameters_to_vector(model.decoder.parameters()).square().sum()
    torch.testing.assert_close(model.loss(x), (error + 3 * latent + 0.5 * weights) / 784)
    plain = RAE(RAEConfig(width=4, latent_weight=0, decoder_weight=0)).eval()
    torch.testing.assert_close(plain.loss(x), F.mse_loss(plain.reconstruct(x), x))


def test_mmd_equals_a_plain_double_loop() -> None:
    x, y = torch.randn(4, 3), torch.randn(5, 3) + 1

    def kernel(a: Tensor, b: Tensor) -> float:
        distance = float((a - b).square().sum())
        return sum(2 * 3 * scale / (2 * 3 * scale + distance) for scale in KERNEL_SCALES)

    def within(points: Tensor) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j]
        return sum(pairs) / len(pairs)

    between = sum(kernel(a, b) for a in x for b in y) / 20
    assert mmd(x, y).item() == pytest.approx(within(x) + within(y) - 2 * between, abs=1e-5)
    with pytest.raises(ValueError, match="at least two"):
        mmd(x[:1], y)


def test_mmd_is_zero_on_average_for_equal_distributions_only() -> None:
    same = torch.stack([mmd(torch.randn(100, 10), torch.randn(100, 10)) for _ in range(100)])
    assert abs(same.mean()) < 4 * same.std() / 10
    assert same.min() < 0
    for other in (torch.randn(100, 10) + 0.5, 0.5 * torch.randn(100, 10), 2 * torch.randn(100, 10)):
        assert mmd(other, torch.randn(100, 10)) > same.mean() + 10 * same.std()


@every_model
def test_weights_start_as_in_dcgan(build: Callable[..., Model]) -> None:
    model = build(width=32)
    layers = [layer for layer in model.modules() if isinstance(getattr(layer, "weight", None), Tensor)]
    assert len(layers) == 9
    for layer in layers:
        weight, centre = layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
        assert isinstance(weight, Tensor)
        error = 0.02 / math.sqrt(weight.numel())
        assert abs(weight.mean() - centre) < 5 * error
        assert abs(weight.std() - 0.02) < 5 * error
        assert not isinstance(layer.bias, Tensor) or layer.bias.count_nonzero() == 0


@every_model
def test_training_beats_the_mean_image(build: Callable[..., Model]) -> None:
    digits = torch.tensor(load_digits().images[:, None] / 16, dtype=torch.float32)
    images = F.interpolate(digits, (28, 28), mode="bilinear")
    model = build(width=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(images[torch.randint(len(images), (32,))]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        error = F.mse_loss(model.reconstruct(images), images)
    assert error < 0.4 * (images - images.mean(0)).square().mean()


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        *((config, "image_shape", shape) for config in (VAEConfig, WAEConfig) for shape in [(28, 28), (1, 30, 28)]),
        (VAEConfig, "image_shape", (0, 28, 28)),
        (WAEConfig, "latent_dim", 0),
        (VAEConfig, "width", 0),
        (VAEConfig, "likelihood", "laplace"),
        (VAEConfig, "variance", 0.0),
        (VAEConfig, "variance", math.nan),
        (WAEConfig, "mmd_weight", -1.0),
        (WAEConfig, "mmd_weight", math.inf),
    ],
)
def test_bad_config_names_the_field(config: Callable[..., Any], field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        config(**{field: value})


@pytest.mark.parametrize("config", [VAEConfig, WAEConfig])
def test_image_shape_may_come_from_json(config: Callable[..., Any]) -> None:
    assert config(image_shape=[1, 28, 28]) == config()
