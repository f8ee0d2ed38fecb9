"""The benchmark compares the right things: peers are the same PIE, or differ as stated; the floor has all networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bench.architecture import blocks
from bench.floor import Floor
from bench.measure import Spread
from pie_cli import PIE, PIEConfig
from pie_cli.models.bijections import Split
from pie_cli.models.couplings import AdditiveCoupling, AffineCoupling
from pie_cli.models.rotations import Householder
from tests.conftest import randomise

pytest.importorskip("FrEIA", reason="needs the extra bench")
pytest.importorskip("normflows", reason="needs the extra bench")

from FrEIA.modules import GLOWCouplingBlock, HouseholderPerm, NICECouplingBlock

from bench.freia import FreiaPIE, Residual
from bench.normalizing_flows import NormflowsPIE
from bench.report import Target

# 64→32→16→6→4→4: two convolutional blocks and three linear ones, the last of which reduces nothing.
SMALL = PIEConfig((1, 8, 8), latent_dim=4, linear_dims=(6,), eps2=0.04, conv_width=4, dense_width=8, dense_depth=1)
PEERS: list[Callable[[PIEConfig], Any]] = [FreiaPIE, NormflowsPIE]


def _parts(model: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_is_a_flow(peer: Callable[[PIEConfig], Any]) -> None:
    """Its log-determinant is the Jacobian's, its inverse is exact, its samples lie on the manifold."""
    torch.set_default_dtype(torch.float64)
    model = peer(SMALL)
    for module in model.modules():
        if isinstance(module, nn.Sequential):  # a network: fresh ones are constant
            randomise(module, 0.15)
    x = torch.rand(2, 1, 8, 8)
    z, residuals, log_det = model(x)

    def flow(image: torch.Tensor) -> torch.Tensor:
        z, residuals, _ = model(image[None])
        return torch.cat([z, *residuals], dim=1)[0]

    jacobian = torch.autograd.functional.jacobian(flow, x[0]).reshape(64, 64)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[0])
    gaussians = torch.distributions.Normal(0, torch.tensor([1.0, 0.2]))
    terms = [gaussians.log_prob(z[..., None])[..., 0].sum(1)]
    terms += [gaussians.log_prob(r[..., None])[..., 1].sum(1) for r in residuals]
    torch.testing.assert_close(model.log_prob(x), torch.stack(terms).sum(0) + log_det)
    torch.testing.assert_close(model.loss(x), -model.log_prob(x).mean() / 64)

    torch.testing.assert_close(model.encode(x), z)
    decoded_z, decoded_residuals, _ = model(model.decode(z))
    torch.testing.assert_close(decoded_z, z)
    assert max(r.abs().max() for r in decoded_residuals) < 1e-9
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_freia_is_the_same_function() -> None:
    """With this project's weights, FrEIA's parts give the same z, residuals and log p(x)."""
    ours, peer = randomise(PIE(SMALL)), FreiaPIE(SMALL)
    heads = [split for split in _parts(ours, Split) if split.g is not None]
    for theirs, rotation in zip(_parts(peer, HouseholderPerm), _parts(ours, Householder), strict=True):
        theirs.load_state_dict({"Vs": rotation.vectors})
    for theirs, coupling in zip(_parts(peer, GLOWCouplingBlock), _parts(ours, AffineCoupling), strict=True):
        theirs.subnet2.load_state_dict(coupling.net1.state_dict())
        theirs.subnet1.load_state_dict(coupling.net2.state_dict())
    for theirs, coupling in zip(_parts(peer, NICECouplingBlock), _parts(ours, AdditiveCoupling), strict=True):
        theirs.F.load_state_dict(coupling.net1.state_dict())
        theirs.G.load_state_dict(coupling.net2.state_dict())
    for theirs, head in zip(_parts(peer, Residual), heads, strict=True):
        theirs.load_state_dict(head.state_dict())
    x = torch.rand(3, 1, 8, 8)
    z, residuals, log_det = peer(x)
    own_z, own_residuals, own_log_det = ours(x)
    torch.testing.assert_close(z, own_z)
    torch.testing.assert_close(residuals, own_residuals)
    torch.testing.assert_close(log_det, own_log_det)
    torch.testing.assert_close(peer.log_prob(x), ours.log_prob(x))


def test_parameters_are_the_same_up_to_the_stated_difference() -> None:
    """For a rotation, normflows has n² numbers, and three reflections have 3n."""
    config = PIEConfig()
    ours = _parameters(PIE(config))
    assert _parameters(FreiaPIE(config)) == ours
    more = sum(config.couplings * (n**2 - config.reflections * n) for n in (4, 8, 196, 64, 10))
    assert _parameters(NormflowsPIE(config)) == ours + more


def test_floor_has_every_network() -> None:
    """The floor has all weights of a PIE except its reflections; each gets a gradient."""
    config = PIEConfig()
    floor = Floor(config, 2, torch.device("cpu"), torch.float32, activations=True)
    reflections = sum(config.couplings * config.reflections * n for n in (4, 8, 196, 64, 10))
    assert sum(_parameters(call.network) for call in floor.calls) == _parameters(PIE(config)) - reflections
    floor()


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    """A machine that halves its speed between repeats does not change a ratio."""
    ratio = Spread((2.0, 4.0, 2.0)).over(Spread((1.0, 2.0, 1.0)))
    assert str(ratio) == "2 (2–2)"


@pytest.mark.parametrize(
    ("value", "must", "aim", "reached"),
    [
        (1.2, 1.3, 1.5, "missed"),
        (1.3, 1.3, 1.5, "must"),
        (2, 1.3, 1.5, "aim"),
        (2, 1, 0.5, "missed"),
        (0.4, 1, 0.5, "aim"),
    ],
)
def test_targets_know_their_direction(value: float, must: float, aim: float, reached: str) -> None:
    assert Target("", Spread((value,)), must, aim).row[-1] == reached


def test_blocks_are_those_of_the_model() -> None:
    with pytest.raises(ValueError, match="with g"):
        blocks(PIEConfig(predict_residual=False))
