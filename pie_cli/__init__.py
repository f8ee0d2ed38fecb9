"""PIE: Pseudo-Invertible Encoder (arXiv 2111.00619), an invertible flow used as an autoencoder.

Example:
    >>> from pie_cli import PIE, PIEConfig, load_model
    >>> model = PIE(PIEConfig(image_shape=(1, 28, 28), latent_dim=10, eps2=0.01))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pie_cli.codec.compress import compress, decompress
    from pie_cli.codec.fitting import fit_tables
    from pie_cli.errors import PIEError
    from pie_cli.models.baselines import RAE, VAE, WAE
    from pie_cli.models.config import PIEConfig, RAEConfig, VAEConfig, WAEConfig
    from pie_cli.models.pie import PIE
    from pie_cli.runs.find import load_showcase
    from pie_cli.runs.folder import load_model, save_model

    __version__: str

__all__ = [
    "PIE", "RAE", "VAE", "WAE", "PIEConfig", "PIEError", "RAEConfig", "VAEConfig", "WAEConfig", "__version__",
    "compress", "decompress", "fit_tables", "load_model", "load_showcase", "save_model",
]  # fmt: skip

_HOMES = {
    "PIE": "models.pie", "PIEConfig": "models.config",
    "VAE": "models.baselines", "VAEConfig": "models.config", "WAE": "models.baselines", "WAEConfig": "models.config",
    "RAE": "models.baselines", "RAEConfig": "models.config",
    "PIEError": "errors", "load_model": "runs.folder", "save_model": "runs.folder",
    "load_showcase": "runs.find",
    "compress": "codec.compress", "decompress": "codec.compress", "fit_tables": "codec.fitting",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line answers without loading torch."""
    if name == "__version__":
        from pie_cli.io.provenance import package_version

        return package_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
