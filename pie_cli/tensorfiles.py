"""Tensors and JSON in one safetensors file, written atomically and verified by SHA-256. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pie_cli.errors import PIEError
from pie_cli.files import write_bytes

_KEY = "pie"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able metadata to `path`, with a SHA-256 over both.

    Raises:
        PIEError: if the file cannot be written; an older one is then still whole.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)
    # One key: safetensors writes several in no fixed order, and equal contents should make equal files.
    header = {_KEY: json.dumps({"sha256": _digest(flat, text), "metadata": text})}
    write_bytes(path, save(flat, header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the metadata of a file that `save_tensors` wrote.

    Raises:
        PIEError: if the file is missing, damaged or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
        tensors = load_file(path)
        text, digest = header["metadata"], header["sha256"]
        metadata = json.loads(text)
    except FileNotFoundError as error:
        raise PIEError(f"{path} is missing") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise PIEError(f"{path} is damaged or not a file of this program; delete it and train again") from error
    if _digest(tensors, text) != digest:
        raise PIEError(f"{path} is damaged: its SHA-256 does not match its contents; delete it and train again")
    return tensors, metadata


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of the tensors, and the metadata's text."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
