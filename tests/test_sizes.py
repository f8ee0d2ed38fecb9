"""Models of images of any size: how often they are halved, which linear sizes follow, and that all of it works."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pie_cli import PIE, RAE, VAE, WAE, PIEConfig, RAEConfig, VAEConfig, WAEConfig, load_model, save_model
from pie_cli.config.naming import run_config
from pie_cli.errors import UsageError
from pie_cli.models.base import Autoencoder
from pie_cli.models.config import halvings
from tests.conftest import randomise

SMALL = {"dense_width": 8, "dense_depth": 1, "conv_width": 4, "couplings": 1}


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 28, 28), [784, 392, 196, 64, 10, 10]),
        ((1, 8, 8), [64, 32, 16, 10, 10]),
        ((1, 16, 16), [256, 128, 64, 10, 10]),
        ((3, 32, 32), [3072, 1536, 768, 384, 64, 10, 10]),
        ((3, 32, 48), [4608, 2304, 1152, 576, 256, 64, 10, 10]),
        ((3, 64, 64), [12288, 6144, 3072, 1536, 768, 256, 64, 10, 10]),
        ((3, 256, 256), [196608 // 2**block for block in range(7)] + [1024, 256, 64, 10, 10]),
    ],
)
def test_sizes_follow_from_the_image(shape: tuple[int, int, int], sizes: list[int]) -> None:
    config = PIEConfig(image_shape=shape)
    assert config.sizes == sizes
    assert config.derived() == {"conv_blocks": halvings(shape), "linear_dims": config.dims}


@pytest.mark.parametrize(("shape", "blocks"), [((1, 6, 6), 1), ((1, 1, 6), 0), ((3, 32, 32), 2)])
def test_a_model_of_other_blocks_than_the_rules_is_read_back(
    shape: tuple[int, int, int], blocks: int, tmp_path: Path
) -> None:
    """The rule may not even allow its images."""
    config = PIEConfig(image_shape=shape, conv_blocks=blocks, latent_dim=3, **SMALL)  # type: ignore[arg-type]
    save_model(PIE(config), tmp_path)
    assert load_model(tmp_path).config == config


def test_a_larger_d_leaves_out_what_does_not_lie_between() -> None:
    assert PIEConfig(image_shape=(3, 64, 64), latent_dim=64).dims == (256,)
    assert PIEConfig(image_shape=(3, 64, 64), latent_dim=300).dims == ()


@pytest.mark.parametrize(
    ("shape", "can"),
    [((1, 30, 28), "28×28 and 32×28 can"), ((3, 65, 97), "64×96 and 68×100 can"), ((1, 3, 8), "4×8 can")],
)
@pytest.mark.parametrize("kind", [PIEConfig, VAEConfig])
def test_sides_that_cannot_be_halved_name_those_that_can(kind: type, shape: tuple[int, int, int], can: str) -> None:
    with pytest.raises(ValueError, match=f"H and W divisible by 4, got .*; {can}$"):
        kind(image_shape=shape)


def test_on_the_command_line_they_name_the_option_that_chooses_a_size() -> None:
    with pytest.raises(UsageError, match=r"^images must be .* can: choose one with `image_size`$"):
        run_config(image_shape=(3, 13, 13))


def test_more_blocks_than_the_sides_allow_name_sides_that_allow_them() -> None:
    with pytest.raises(ValueError, match=r"conv_blocks 3 needs images .* divisible by 8, got .*; 24×24 and 32×32 can"):
        PIEConfig(conv_blocks=3)


def test_colour_has_a_gaussian_likelihood_unless_asked_otherwise() -> None:
    colour = (3, 32, 32)
    assert VAEConfig().pixel_likelihood == "bernoulli"
    assert VAEConfig(image_shape=colour).pixel_likelihood == "gaussian"
    assert VAEConfig(image_shape=colour, likelihood="bernoulli").pixel_likelihood == "bernoulli"


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 32, 48), (4, 8, 8)])
@pytest.mark.parametrize("kind", [VAE, WAE, RAE, PIE])
def test_every_model_learns_from_images_of_any_size(kind: type[Autoencoder], shape: tuple[int, int, int]) -> None:
    configs = {VAE: VAEConfig, WAE: WAEConfig, RAE: RAEConfig}
    config = PIEConfig(image_shape=shape, latent_dim=5, **SMALL) if kind is PIE else configs[kind](shape, 5, width=4)  # type: ignore[arg-type]
    model, x = kind(config), torch.rand(4, *shape)  # type: ignore[call-arg, arg-type]
    model.start_from_data(x)
    loss = model.loss(x)
    loss.backward()
    torch.optim.Adam(model.parameters()).step()
    assert model.reconstruct(x).shape == x.shape
    assert model.loss(x).isfinite()
    if isinstance(model, PIE):
        z, residuals, _ = model(x)
        torch.testing.assert_close(model.decode(z, residuals), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [VAEConfig, WAEConfig])
def test_dcgan_has_four_strided_layers_at_64_pixels(kind: type) -> None:
    model = {VAEConfig: VAE, WAEConfig: WAE}[kind](kind(image_shape=(3, 64, 64), width=8))
    strided = [layer for layer in model.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels, layer.stride) for layer in strided] == [
        (before, after, (2, 2)) for before, after in ((3, 8), (8, 16), (16, 32), (32, 64))
    ]


def test_log_determinant_of_colour_is_autograds() -> None:
    model = randomise(PIE(PIEConfig(image_shape=(3, 4, 8), latent_dim=3, **SMALL)), 0.3).double()  # type: ignore[arg-type]
    x = torch.rand(1, 3, 4, 8, dtype=torch.float64)

    def flow(one: Tensor) -> Tensor:
        z, residuals, _ = model(one[None])
        return torch.cat([z, *residuals], 1)[0]

    jacobian = torch.autograd.functional.jacobian(flow, x[0]).reshape(96, 96)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], model(x)[2][0])
