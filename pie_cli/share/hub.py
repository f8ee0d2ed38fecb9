"""A run as the repository of a model hub: its weights, its configuration and a card, ready to be uploaded."""

from __future__ import annotations

from pie_cli.io.files import json_bytes
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import SHARED_WEIGHTS, Run
from pie_cli.share.card import card

OWN_LICENCE = "mit"  # of the weights that come with the program


def as_repository(run: Run, model: Autoencoder, licence: str | None) -> dict[str, bytes]:
    """Return the files by name: model.safetensors is the run's file of weights, byte for byte.

    config.json leaves out where images of one's own lay. Raises UnusableRun if the weights cannot be read.
    """
    if run.folder == SHOWCASE:
        licence = licence or OWN_LICENCE
    config, readme = json_bytes(run.config.to_dict()), card(run, model, licence).encode()
    return {SHARED_WEIGHTS: run.read_weights(), "config.json": config, "README.md": readme}
