"""One property test walks every bijection: shape, inverse both ways, log-determinant against the autograd Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pie_cli.models.bijections import (
    Bijection,
    CheckerboardDownsample,
    Composition,
    Flatten,
    Split,
    SymmetricRange,
)
from pie_cli.models.couplings import AdditiveCoupling, AffineCoupling, ContractiveScale, affine_scale
from pie_cli.models.networks import conv_network, dense_network
from pie_cli.models.rotations import Householder, HouseholderConv1x1, HouseholderLinear
from tests.conftest import randomise

dense = partial(dense_network, width=6, depth=2)
conv = partial(conv_network, width=5)

BIJECTIONS: dict[str, tuple[Callable[[], Bijection], tuple[int, ...]]] = {
    "scaling": (SymmetricRange, (1, 4, 4)),
    "downsample": (CheckerboardDownsample, (2, 4, 6)),
    "flatten": (lambda: Flatten((2, 3, 2)), (2, 3, 2)),
    "contractive coupling": (lambda: AffineCoupling(6, dense, ContractiveScale(0.5)), (6,)),
    "additive coupling": (lambda: AdditiveCoupling(6, dense), (6,)),
    "affine coupling, odd size": (lambda: AffineCoupling(5, dense, affine_scale), (5,)),
    "coupling of a single feature": (lambda: AffineCoupling(1, dense, ContractiveScale(0.5)), (1,)),
    "convolutional coupling, odd channels": (lambda: AffineCoupling(3, conv, ContractiveScale(1.0)), (3, 2, 2)),
    "linear rotation": (lambda: HouseholderLinear(5), (5,)),
    "rotation of fewer features than reflections": (lambda: HouseholderLinear(2), (2,)),
    "1×1 convolution": (lambda: HouseholderConv1x1(4), (4, 2, 3)),
    "split": (lambda: Split(2, dense(2, 3)), (5,)),
    "convolutional split": (lambda: Split(1, conv(1, 3)), (4, 2, 2)),
    "split with g = 0": (lambda: Split(2, None), (5,)),
    "composition": (
        lambda: Composition(
            CheckerboardDownsample(), HouseholderConv1x1(4), AffineCoupling(4, conv, affine_scale), Flatten((4, 2, 2))
        ),
        (1, 4, 4),
    ),
}


@pytest.mark.parametrize("name", BIJECTIONS)
def test_bijection(name: str) -> None:
    make, shape = BIJECTIONS[name]
    bijection = randomise(make()).double()
    x = torch.randn(3, *shape, dtype=torch.float64)

    y, log_det = bijection(x)
    assert log_det.shape == (3,)
    assert y.numel() == x.numel()
    torch.testing.assert_close(bijection.inverse(y), x, atol=1e-10, rtol=0)
    other = torch.randn_like(y)
    torch.testing.assert_close(bijection(bijection.inverse(other))[0], other, atol=1e-10, rtol=0)

    for row in range(len(x)):
        torch.testing.assert_close(log_det[row], _autograd_log_det(bijection, x[row]), atol=1e-9, rtol=0)


def _autograd_log_det(bijection: nn.Module, x: Tensor) -> Tensor:
    """Return log|det J| at one x, from the whole Jacobian."""
    jacobian = torch.autograd.functional.jacobian(lambda v: bijection(v.view(1, *x.shape))[0].flatten(), x.flatten())
    return torch.linalg.slogdet(jacobian).logabsdet


@given(features=st.integers(1, 40), reflections=st.integers(1, 5), size=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_householder_is_orthogonal(features: int, reflections: int, size: float, seed: int) -> None:
    """It is orthogonal in float32 for any number and length of the vectors (Eq. 19)."""
    torch.manual_seed(seed)
    rotation = HouseholderLinear(features, reflections)
    with torch.no_grad():
        rotation.vectors.mul_(size)
        rotation.start_from(torch.linalg.qr(torch.randn(features, features, dtype=torch.float64))[0])
    matrix = rotation.matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(features), atol=2e-6, rtol=0)


def test_start_stored_in_float32_is_orthogonal_in_float64() -> None:
    """That makes a trained model's inverse exact to double precision."""
    rotation = HouseholderLinear(64)
    rotation.start_from(torch.linalg.qr(torch.randn(64, 64))[0])
    matrix = rotation.double().matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64, dtype=torch.float64), atol=1e-12, rtol=0)


def test_householder_stays_orthogonal_in_training() -> None:
    rotation = HouseholderLinear(16)
    optimizer = torch.optim.Adam(rotation.parameters(), lr=0.5)
    x, target = torch.randn(64, 16), torch.randn(64, 16)
    before = rotation.matrix().detach()
    for _ in range(300):
        optimizer.zero_grad()
        (rotation(x)[0] - target).square().mean().backward()
        optimizer.step()
    matrix = rotation.matrix().detach()
    assert (matrix - before).abs().max() > 0.1
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(16), atol=2e-6, rtol=0)


def test_reflection_is_the_papers() -> None:
    """H(v) = I − 2vvᵀ/vᵀv (Eq. 19): it turns v into −v and leaves what is orthogonal to it."""
    rotation: Householder = HouseholderLinear(4, reflections=1)
    v = rotation.vectors[0].detach()
    torch.testing.assert_close(rotation(v[None])[0][0], -v)


def test_checkerboard_is_a_permutation() -> None:
    """Each output channel holds one of the four positions of every 2×2 square (section 4.4)."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y, log_det = CheckerboardDownsample()(x)
    assert y.shape == (1, 4, 2, 2)
    assert sorted(y.flatten().tolist()) == list(range(16))
    torch.testing.assert_close(y[0, 0], torch.tensor([[0.0, 2.0], [8.0, 10.0]]))
    assert log_det.item() == 0


@given(a=st.floats(0, 1), t=st.floats(-50, 50))
def test_contractive_scale_never_expands(a: float, t: float) -> None:
    s = ContractiveScale(a)(torch.tensor(t, dtype=torch.float64)).item()
    assert 1 - a <= s <= 1
