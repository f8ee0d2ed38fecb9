"""The models by name, as configurations and the command line call them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pie_cli.io.tensors import check_tensors
from pie_cli.models.base import Autoencoder
from pie_cli.models.baselines import VAE, WAE
from pie_cli.models.config import ModelConfig, PIEConfig, VAEConfig, WAEConfig
from pie_cli.models.couplings import AdditiveCoupling
from pie_cli.models.pie import PIE
from pie_cli.models.rotations import Householder

LAYOUT = 2  # of a state's tensors; see `upgrade`

Build = Callable[[ModelConfig], Autoencoder]


def build_model(config: ModelConfig) -> Autoencoder:
    """Return a fresh model; its weights come from torch's global generator."""
    if isinstance(config, PIEConfig):
        return PIE(config)
    if isinstance(config, VAEConfig):
        return VAE(config)
    assert isinstance(config, WAEConfig)
    return WAE(config)


def restore_model(
    config: ModelConfig, weights: dict[str, Tensor], layout: int = LAYOUT, build: Build = build_model
) -> Autoencoder:
    """Return the model with these weights. Raises ValueError where names, types, shapes or values are not its own."""
    try:
        with torch.device("meta"):  # sizes cost no memory before they are known to be those of the weights
            sketch = build(config)
        if layout < LAYOUT:
            weights = upgrade(sketch, weights)
        sketch.expect(weights)
    except (RuntimeError, OverflowError, IndexError) as error:
        raise ValueError("no model has such sizes") from error
    check_tensors(weights, sketch.state_dict())
    model = build(config)
    model.expect(weights)
    model.load_state_dict(weights)
    return model


def upgrade(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of layout 1 in today's.

    There, an additive coupling's networks gave a scale too, which had no effect, and every rotation had a constant
    called "start", most of which were the identity.
    """
    upgraded = dict(weights)
    for name, module in model.named_modules():
        if isinstance(module, AdditiveCoupling):
            for key, tensor in model.state_dict(prefix="").items():
                if key.startswith((f"{name}.net1.", f"{name}.net2.")) and key in upgraded:
                    upgraded[key] = upgraded[key][-tensor.shape[0] :] if tensor.shape[0] else upgraded[key][:0]
        elif isinstance(module, Householder) and f"{name}.start" in upgraded:
            start = upgraded.pop(f"{name}.start")
            if not torch.equal(start, torch.eye(start.shape[0], dtype=start.dtype)):
                upgraded[f"{name}.q"] = start
    return upgraded
