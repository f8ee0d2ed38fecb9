"""Models as programs of torch.export, which torch loads without this program."""

from __future__ import annotations

import io

import torch

from pie_cli.models.base import Autoencoder
from pie_cli.share.export_parts import Computed, Part, quiet, traced


def graph(part: Part, model: Autoencoder) -> tuple[bytes, Computed]:
    """Return a part as a file, and what torch makes of that. Raises PIEError if it cannot be exported."""
    program, file = traced(part, model), io.BytesIO()
    with quiet(part.name):
        torch.export.save(program, file)
        return file.getvalue(), torch.export.load(io.BytesIO(file.getvalue())).module()
