"""Models as programs of torch.export, which torch loads without this program."""

from __future__ import annotations

import io

import torch

from pie_cli.models.base import Autoencoder
from pie_cli.share.export_parts import largest_difference, parts_of, quiet, traced

SUFFIX = ".pt2"


def as_programs(model: Autoencoder) -> tuple[dict[str, bytes], float]:
    """Return the files of a model by name, and how far the results of what they hold are from the model's.

    Raises PIEError if they differ too much, or the model cannot be exported.
    """
    files, differences = {}, list[float]()
    for part in parts_of(model):
        program, file = traced(part, model), io.BytesIO()
        with quiet(part.name):
            torch.export.save(program, file)
            compute = torch.export.load(io.BytesIO(file.getvalue())).module()
        differences.append(largest_difference(part, model, compute))
        files[part.name + SUFFIX] = file.getvalue()
    return files, max(differences)
