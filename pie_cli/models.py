"""The models by name, as configurations and the command line call them."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_cli.autoencoder import Autoencoder
from pie_cli.baselines import VAE, WAE, VAEConfig, WAEConfig
from pie_cli.pie import PIE, PIEConfig
from pie_cli.tensorfiles import check_tensors

ModelConfig = PIEConfig | VAEConfig | WAEConfig

CONFIGS: dict[str, type[ModelConfig]] = {"pie": PIEConfig, "vae": VAEConfig, "wae": WAEConfig}


def model_name(config: ModelConfig) -> str:
    """Return "pie", "vae" or "wae"."""
    return next(name for name, kind in CONFIGS.items() if type(config) is kind)


def build_model(config: ModelConfig) -> Autoencoder:
    """Return a fresh model; its weights come from torch's global generator."""
    if isinstance(config, PIEConfig):
        return PIE(config)
    if isinstance(config, VAEConfig):
        return VAE(config)
    return WAE(config)


def restore_model(config: ModelConfig, weights: dict[str, Tensor]) -> Autoencoder:
    """Return the model with these weights. Raises ValueError where names, types, shapes or values are not its own."""
    try:
        with torch.device("meta"):  # sizes cost no memory before they are known to be those of the weights
            expected = build_model(config).state_dict()
    except (RuntimeError, OverflowError) as error:
        raise ValueError("no model has such sizes") from error
    check_tensors(weights, expected)
    model = build_model(config)
    model.load_state_dict(weights)
    return model
