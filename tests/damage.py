"""Damage that can happen to a run's files, for the tests of what the program does then."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pie_cli.io.tensors import load_tensors, save_tensors
from pie_cli.models.registry import build_model
from pie_cli.runs.folder import Run
from pie_cli.training.state import TrainingState


def copied(run: Run, folder: Path) -> Run:
    shutil.copytree(run.folder, folder / "run")
    return Run(folder / "run", run.config)


def state_of(run: Run) -> TrainingState:
    """Return a fresh state of the run's training, of two epochs of ten steps."""
    return TrainingState(build_model(run.config.model), run.config.resolved, 20, torch.device("cpu"))


def said(error: str, path: Path) -> None:
    """Check that an error is one line that names the file and ends with what to do."""
    assert "\n" not in error.strip()
    assert str(path) in error
    assert any(advice in error for advice in ("--overwrite", "remove it", "fix that"))


# What can happen to any file


def flip(path: Path, at: int = -100) -> None:
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Reading it would block for ever."""
    path.unlink()
    os.mkfifo(path)


def enormous(path: Path) -> None:
    """A terabyte that takes no space on the disk, but would take it in memory."""
    os.truncate(path, 2**40)


ANY_FILE = [flip, cut, empty, directory, pipe, enormous]

# What can happen to a file of tensors, with a hash that is right


def altered(change: Callable[[dict[str, Tensor], dict[str, Any]], None]) -> Callable[[Path], None]:
    def alter(path: Path) -> None:
        tensors, metadata = load_tensors(path)
        change(tensors, metadata)
        save_tensors(path, tensors, metadata)

    alter.__name__ = change.__name__
    return alter


def first(tensors: dict[str, Tensor]) -> str:
    return min(name for name, tensor in tensors.items() if tensor.dtype == torch.float32 and tensor.ndim == 2)


@altered
def half(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    tensors[first(tensors)] = tensors[first(tensors)].half()


@altered
def integers(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    tensors[first(tensors)] = tensors[first(tensors)].int()


@altered
def transposed(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    tensors[first(tensors)] = torch.cat([tensors[first(tensors)]] * 2)


@altered
def renamed(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    tensors["model.other"] = tensors.pop(first(tensors))


@altered
def lacking(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    del tensors[first(tensors)]


@altered
def infinite(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
    tensors[first(tensors)][0, 0] = torch.inf


def huge_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])


def foreign(path: Path) -> None:
    """A valid safetensors file, but not one of this program's."""
    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})


def pickled(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def deep_metadata(path: Path) -> None:
    header = json.dumps({"__metadata__": {"pie": '{"a":' * 100_000}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


TENSOR_FILE = [*ANY_FILE, half, integers, transposed, renamed, lacking, infinite]
TENSOR_FILE += [huge_header, foreign, pickled, deep_metadata]
