"""PIE: Pseudo-Invertible Encoder (arXiv 2111.00619), an invertible flow used as an autoencoder.

Example:
    >>> from pie_cli import PIE, PIEConfig, load_model
    >>> model = PIE(PIEConfig(image_shape=(1, 28, 28), latent_dim=10, eps2=0.01))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pie_cli.baselines import VAE, WAE, VAEConfig, WAEConfig
    from pie_cli.errors import PIEError
    from pie_cli.pie import PIE, PIEConfig
    from pie_cli.runs import load_model

__all__ = ["PIE", "VAE", "WAE", "PIEConfig", "PIEError", "VAEConfig", "WAEConfig", "load_model"]

_HOMES = {
    "PIE": "pie", "PIEConfig": "pie",
    "VAE": "baselines", "VAEConfig": "baselines", "WAE": "baselines", "WAEConfig": "baselines",
    "PIEError": "errors", "load_model": "runs",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line answers without loading torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
