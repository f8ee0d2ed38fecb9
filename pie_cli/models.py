"""The models by name, as configurations and the command line call them."""

from __future__ import annotations

from pie_cli.autoencoder import Autoencoder
from pie_cli.baselines import VAE, WAE, VAEConfig, WAEConfig
from pie_cli.pie import PIE, PIEConfig

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
