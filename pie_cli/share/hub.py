"""A run as the repository of a model hub: its weights, its configuration and a card, ready to be uploaded."""

from __future__ import annotations

from contextlib import suppress

from pie_cli.io.files import LARGEST_JSON, json_bytes, read_bytes
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import CARD, SHARED_WEIGHTS, Run
from pie_cli.share.card import card

OWN_LICENCE = "mit"  # of the weights that come with the program


def _card_there(run: Run) -> bytes | None:
    """Return the card of a run that is a repository already: it knows more than the run, such as the figures."""
    if (run.folder / SHARED_WEIGHTS).exists():
        with suppress(OSError, ValueError):
            return read_bytes(run.folder / CARD, LARGEST_JSON)
    return None


def as_repository(run: Run, model: Autoencoder, licence: str | None) -> dict[str, bytes]:
    """Return the files by name: model.safetensors is the run's file of weights, byte for byte.

    config.json leaves out where images of one's own lay. If the run is a repository itself and no licence is given, its
    card stays as it is. Raises UnusableRun if the weights cannot be read.
    """
    if run.folder.resolve() == SHOWCASE.resolve():
        licence = licence or OWN_LICENCE
    config, readme = json_bytes(run.config.to_dict()), _card_there(run) if licence is None else None
    readme = readme or card(run, model, licence).encode()
    return {SHARED_WEIGHTS: run.read_weights(), "config.json": config, CARD: readme}
