"""The model of section 5.1: exact inverse, log-determinant, Eq. 17, and the special cases that the paper names."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from pie_cli import PIE, PIEConfig
from tests.conftest import randomise, small_pie


def test_sizes_are_the_papers() -> None:
    """784→392→196→64→10→10 (section 5.1), for Table 1 with 8 at the end (section 5.2)."""
    assert PIEConfig().sizes == [784, 392, 196, 64, 10, 10]
    assert PIEConfig(latent_dim=8).sizes == [784, 392, 196, 64, 8, 8]
    z, residuals, log_det = PIE(PIEConfig())(torch.rand(2, 1, 28, 28))
    assert z.shape == (2, 10)
    assert [tuple(r.shape) for r in residuals] == [(2, 392), (2, 196), (2, 132), (2, 54)]
    assert log_det.shape == (2,)


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ((1, 28, 28), {}),
        ((3, 32, 32), {}),
        ((2, 4, 12), {}),
        ((1, 4, 4), {"latent_dim": 3}),
        ((5, 8, 8), {"latent_dim": 1, "linear_dims": (33, 7)}),
        ((1, 8, 8), {"latent_dim": 16}),
    ],
)
def test_any_shape_has_an_exact_inverse(shape: tuple[int, int, int], changes: dict[str, Any]) -> None:
    model = PIE(PIEConfig(image_shape=shape, **{"latent_dim": 5, "dense_width": 32, **changes}))
    randomise(model, 0.1)
    x = torch.rand(3, *shape)
    z, residuals, _ = model(x)
    assert z.shape == (3, model.latent_dim)
    assert z.numel() + sum(r.numel() for r in residuals) == x.numel()
    torch.testing.assert_close(model.decode(z, residuals), x, atol=1e-4, rtol=0)
    model, x = model.double(), x.double()
    z, residuals, _ = model(x)
    torch.testing.assert_close(model.decode(z, residuals), x, atol=1e-10, rtol=0)


def test_samples_lie_on_the_manifold() -> None:
    """Encoding a decoded code gives it back with zero residuals: r = g(z) at every level (Eq. 4, 20)."""
    model = PIE(PIEConfig(dense_width=64))
    randomise(model, 0.05)
    codes = torch.randn(8, 10)
    z, residuals, _ = model(model.decode(codes))
    torch.testing.assert_close(z, codes, atol=1e-4, rtol=0)
    assert max(r.abs().max().item() for r in residuals) < 1e-4


def test_keep_undoes_the_compression_level_by_level() -> None:
    model = small_pie().double()
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    z, residuals, _ = model(x)
    torch.testing.assert_close(model.decode(z, residuals, keep=0), model.decode(z))
    torch.testing.assert_close(model.decode(z, residuals, keep=4), x)
    zeroed = [torch.zeros_like(r) for r in residuals[:2]] + residuals[2:]
    torch.testing.assert_close(model.decode(z, residuals, keep=2), model.decode(z, zeroed))
    for arguments in ({"keep": 2}, {"residuals": residuals, "keep": 5}, {"residuals": residuals[:1]}):
        with pytest.raises(ValueError, match=r"keep|residuals"):
            model.decode(z, **arguments)


def test_log_det_of_the_whole_model() -> None:
    model = small_pie().double()
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    _, _, log_det = model(x)

    def flat(v: torch.Tensor) -> torch.Tensor:
        z, residuals, _ = model(v.view(1, 1, 8, 8))
        return torch.cat([z, *residuals], dim=1)[0]

    for row in range(2):
        jacobian = torch.autograd.functional.jacobian(flat, x[row].flatten())
        expected = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(log_det[row], expected, atol=1e-9, rtol=0)


def test_log_prob_is_equation_17() -> None:
    model = small_pie().double()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    z, residuals, log_det = model(x)
    expected = Normal(0, 1).log_prob(z).sum(1) + log_det
    for r in residuals:
        expected = expected + Normal(0, math.sqrt(0.04)).log_prob(r).sum(1)
    torch.testing.assert_close(model.log_prob(x), expected)
    assert list(model.log_prob_terms(x)) == ["log_p_z", "log_p_r1", "log_p_r2", "log_p_r3", "log_p_r4", "log_det"]
    terms = loss_terms(model, x)
    torch.testing.assert_close(terms["loss"], -expected.mean() / 64)
    torch.testing.assert_close(terms["r2_over_eps2"], residuals[1].square().mean() / 0.04)
    torch.testing.assert_close(model.bits_per_dim(x), -expected / 64 / math.log(2) + 8)


def test_the_options_outside_the_papers_loss() -> None:
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    model = small_pie().double()
    nll = -model.log_prob(x).mean()
    annealed = loss_terms(model, x, eps2=torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(annealed["nll"], -PIE.log_prob(small_copy(model, eps2=0.5), x).mean())

    penalised = loss_terms(small_copy(model, reconstruction=3.0), x)
    mse = (2 * (model.reconstruct(x) - x)).square().mean()
    torch.testing.assert_close(penalised["loss"], nll / 64 + 3 * mse)
    torch.testing.assert_close(penalised["nll"], nll)
    started = loss_terms(model, x, reconstruction=torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(started["loss"], nll / 64 + 2 * mse)

    learned = small_copy(model, learn_eps2=True)
    torch.testing.assert_close(learned.log_prob(x), model.log_prob(x))
    assert learned.log_eps2 is not None
    residuals = torch.cat(learned(x)[1], dim=1).square().mean()
    learned.log_eps2.data = residuals.detach().log()  # where the likelihood of the residuals is greatest
    (gradient,) = torch.autograd.grad(learned.loss(x), [learned.log_eps2])
    assert gradient.abs() < 1e-12


def loss_terms(model: PIE, x: torch.Tensor, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the terms of the loss, which must be the loss that training minimises."""
    terms = model.loss_terms(x, **changes)
    torch.testing.assert_close(model.loss(x, **changes), terms["loss"])
    return terms


def small_copy(model: PIE, **changes: Any) -> PIE:
    """Return a PIE with the weights of `small_pie()`'s and other settings."""
    copy = PIE(dataclasses.replace(model.config, **changes)).double()
    copy.load_state_dict(model.state_dict(), strict=False)
    return copy


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_log_prob_integrates_to_one(latent_dim: int) -> None:
    """On two variables, summed over a fine grid: Eq. 17 is a density of images in [0, 1] units."""
    config = PIEConfig(image_shape=(1, 1, 2), conv_blocks=0, latent_dim=latent_dim, eps2=0.1, dense_width=8)
    model = PIE(config).double()
    randomise(model, 0.3)
    side = torch.linspace(-4, 5, 1500, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side).view(-1, 1, 1, 2)
    with torch.no_grad():
        mass = model.log_prob(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-3)


def test_without_g_and_with_unit_variance_it_is_a_multiscale_realnvp() -> None:
    """Section 3.4: every variable that the flow factors out is standard normal."""
    model = small_pie(eps2=1.0, predict_residual=False).double()
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    y, log_det = model.scaling(x)
    factored_out = []
    for block in model.blocks:  # the multi-scale recursion of RealNVP: transform, then factor a part out
        for bijection in block.bijections[:-1]:
            y, term = bijection(y)
            log_det = log_det + term
        kept = len(y[0]) - block.residual_shape[0]
        factored_out.append(y[:, kept:].flatten(1))
        y = y[:, :kept]
    variables = torch.cat([y, *factored_out], dim=1)
    torch.testing.assert_close(model.log_prob(x), Normal(0, 1).log_prob(variables).sum(1) + log_det)


def test_loss_is_rotation_invariant_where_it_should_be() -> None:
    """With ε₀² = 1, g = 0 and identity couplings, N(0, I) cannot tell one orthogonal F from another."""
    losses = []
    for seed in range(3):
        torch.manual_seed(seed)
        config = PIEConfig(image_shape=(1, 8, 8), latent_dim=3, linear_dims=(7,), eps2=1.0, scale="additive")
        model = PIE(config).double()  # fresh networks give s = 1, b = 0 and g = 0
        x = torch.rand(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
        losses.append(model.loss(x))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[0], losses[2])


def test_start_from_data_keeps_the_principal_axes() -> None:
    """A fresh linear block splits off the directions of least variance."""
    torch.manual_seed(1)
    config = PIEConfig(image_shape=(1, 1, 6), conv_blocks=0, latent_dim=2, scale="additive")
    model = PIE(config).double()
    spread = torch.tensor([0.1, 3.0, 0.2, 0.1, 2.0, 0.1], dtype=torch.float64)
    x = torch.randn(2000, 1, 1, 6, dtype=torch.float64) * spread
    model.start_from_data(x)
    _, residuals, _ = model(x)
    assert (residuals[0] - residuals[0].mean(0)).square().sum(1).mean() < 4 * (3 * 0.1**2 + 0.2**2) * 1.1


def gradients(model: PIE, x: torch.Tensor) -> torch.Tensor:
    """Return the loss's gradient of all parameters, as one vector."""
    loss = model.loss(x)
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])


def test_recomputed_activations_give_the_same_gradients() -> None:
    model, x = small_pie().double(), torch.rand(6, 1, 8, 8, dtype=torch.float64)
    stored = gradients(model, x)
    model.recompute_activations()
    torch.testing.assert_close(gradients(model, x), stored, rtol=1e-9, atol=1e-9)


def test_recomputing_stores_one_tensor_a_block() -> None:
    model, x, stored = small_pie(couplings=4), torch.rand(6, 1, 8, 8), list[torch.Tensor]()
    model.recompute_activations()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):  # parameters exist anyway
            stored.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y, _ = model.scaling(x)
        for block in model.blocks:
            y, _ = block(y)
            y, _ = block.split.z_r(y)
    assert len(stored) == len(model.blocks)


def test_bfloat16_is_for_the_networks_alone() -> None:
    model, x = small_pie(), torch.rand(6, 1, 8, 8)
    exact = model.log_prob_terms(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.log_prob_terms(x)
        z, residuals, _ = model(x)
        again = model.decode(z, residuals)
    assert all(term.dtype == torch.float32 for term in mixed.values())
    assert all(torch.allclose(mixed[name], exact[name], rtol=0.05, atol=1.0) for name in exact)
    assert not torch.equal(mixed["log_det"], exact["log_det"])  # the networks did compute in another precision
    assert (again - x).abs().max() < 1e-2  # the couplings invert what the networks computed


def test_the_compiled_loss_is_the_same() -> None:
    model, x = small_pie(), torch.rand(6, 1, 8, 8)
    compiled = torch.compile(model.loss, backend="aot_eager", fullgraph=True)  # the graph alone, without a C++ compiler
    torch.testing.assert_close(compiled(x), model.loss(x))


def test_sample_is_reproducible_and_scales() -> None:
    model = small_pie()
    first = model.sample(4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model.sample(4, generator=torch.Generator().manual_seed(3)), first)
    torch.testing.assert_close(model.sample(2, std=0.0), model.decode(torch.zeros(2, 3)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_shape", (1, 30, 28)),
        ("image_shape", (28, 28)),
        ("latent_dim", 0),
        ("latent_dim", 197),
        ("linear_dims", (197,)),
        ("eps2", 0.0),
        ("eps2", float("nan")),
        ("scale", "free"),
        ("contraction", 1.5),
        ("linear_contraction", -0.5),
        ("couplings", 0),
        ("conv_blocks", -1),
    ],
)
def test_bad_config_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        PIEConfig(**{field: value})  # type: ignore[arg-type]


def test_other_shapes_are_refused() -> None:
    model = small_pie()
    with pytest.raises(ValueError, match=r"\(B, 1, 8, 8\), got \(2, 1, 8, 4\)"):
        model.encode(torch.rand(2, 1, 8, 4))
    with pytest.raises(ValueError, match=r"\(B, 3\), got \(2, 4\)"):
        model.decode(torch.rand(2, 4))


def test_linear_blocks_preserve_volume_unless_told_otherwise() -> None:
    """By default, the log-determinant comes only from the scaling to [−1, 1] and the convolutional blocks."""
    x = torch.rand(3, 1, 8, 8)
    for a in (0.0, 0.5):
        model = small_pie(linear_contraction=a)
        y, _ = model.scaling(x)
        log_dets = []
        for block in model.blocks:
            y, log_det = block(y)
            log_dets.append(log_det)
            y = block.split.z_r(y)[0]
        convolutional, linear = log_dets[: model.config.halvings], log_dets[model.config.halvings :]
        assert all((log_det < 0).all() for log_det in convolutional)
        assert all((log_det < 0).all() if a else (log_det == 0).all() for log_det in linear)
