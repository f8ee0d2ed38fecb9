"""PIE beside its opponents, each with the width and the learning rate that `trials` found best for it."""

from typing import Any

from pie_cli.config.run import FULL_EPOCHS
from studies.study import Study
from studies.variant import PCA

# Settings of `run_config`. The width of the last one gives as few parameters as the others have.
OPPONENTS: dict[str, dict[str, Any]] = {
    "PIE": {"recipe": "stable"},
    "VAE": {"model": "vae", "width": 48, "lr": 2e-2},
    "VAE, Gaussian likelihood": {"model": "vae", "likelihood": "gaussian", "width": 96, "lr": 2e-2},
    "WAE, λ = 10": {"model": "wae", "width": 96, "lr": 2e-2},
    "WAE, λ = 200": {"model": "wae", "mmd_weight": 200.0, "width": 96, "lr": 2e-2},
    "autoencoder": {"model": "rae", "latent_weight": 0.0, "decoder_weight": 0.0, "width": 96, "lr": 2e-2},
    "RAE": {"model": "rae", "width": 96, "lr": 2e-2},
    "PIE, as few parameters": {"recipe": "stable", "dense_width": 96, "lr": 4e-3},
}
# As many parameters as PIE has; their ten epochs would take three hours of a core each.
WIDE: dict[str, dict[str, Any]] = {
    "VAE, as many parameters as PIE": {"model": "vae", "width": 248, "lr": 1e-2},
    "WAE, λ = 10, as many parameters": {"model": "wae", "width": 256, "lr": 1e-2},
}


def _options(settings: dict[str, Any]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())


STUDY = Study(
    "opponents",
    "How good are PIE's opponents, with equal care?",
    {
        "PCA": PCA,
        **{name: _options({**settings, "epochs": FULL_EPOCHS}) for name, settings in OPPONENTS.items()},
    },
)
AS_MANY = Study(
    "parameters",
    "Is it the number of parameters?",
    {
        "PIE": "--recipe stable --eps2 0.01",
        **{name: _options(settings) for name, settings in OPPONENTS.items() if name in ("VAE", "WAE, λ = 10")},
        **{name: _options(settings) for name, settings in WIDE.items()},
    },
)
