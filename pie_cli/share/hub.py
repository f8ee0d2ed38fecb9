"""A run as the repository of a model hub: its weights, its configuration and a card, ready to be uploaded."""

from __future__ import annotations

import json

from pie_cli.errors import UnusableRun
from pie_cli.io.files import read_bytes
from pie_cli.io.tensors import LARGEST_FILE
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import SHARED_WEIGHTS, Run
from pie_cli.share.card import card

OWN_LICENCE = "mit"  # of the weights that come with the program


def as_repository(run: Run, model: Autoencoder, licence: str | None) -> dict[str, bytes]:
    """Return the files by name: model.safetensors is the run's file of weights, byte for byte.

    config.json leaves out where images of one's own lay. Raises UnusableRun if the weights cannot be read.
    """
    try:
        weights = read_bytes(run.weights, LARGEST_FILE)
    except (OSError, ValueError) as error:
        raise UnusableRun(run.weights, f"{run.weights} is not readable ({error})") from error
    if run.folder == SHOWCASE:
        licence = licence or OWN_LICENCE
    config = json.dumps(run.config.to_dict(), indent=2, ensure_ascii=False) + "\n"
    return {SHARED_WEIGHTS: weights, "config.json": config.encode(), "README.md": card(run, model, licence).encode()}
