"""Where to compute."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from pie_cli.errors import UsageError


@dataclass(frozen=True)
class Execution:
    """How a training computes; nothing here changes its result, up to the rounding of floats.

    Arguments:
        accelerator: as `find_accelerator` returns it.
        devices: processes on each node.
        num_nodes: number of nodes.
        compiled: whether the loss goes through torch.compile.
        recompute: whether a PIE's activations are recomputed from its outputs, see `recompute`.
    """

    accelerator: str
    devices: int = 1
    num_nodes: int = 1
    compiled: bool = False
    recompute: bool = False

    @property
    def world_size(self) -> int:
        """Number of all processes."""
        return self.devices * self.num_nodes

    def __str__(self) -> str:
        """Return "cuda", "4 × cuda" or "2 nodes × 4 × cuda", and what else was chosen."""
        nodes = f"{self.num_nodes} nodes × " if self.num_nodes > 1 else ""
        place = f"{nodes}{self.devices} × {self.accelerator}" if self.world_size > 1 else self.accelerator
        return place + ", compiled" * self.compiled + ", activations recomputed" * self.recompute


def find_accelerator(device: str) -> str:
    """Return "cuda", "mps" or "cpu"; "auto" takes the first of them that is there.

    Raises:
        UsageError: if the device that was asked for is not there.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        raise UsageError(f"--device {device}: no such device is usable on this machine; use --device auto or cpu")
    if device == "cuda":
        compute_in_float32()
    return device


def compute_in_float32() -> None:
    """Have a GPU's convolutions computed in float32, so that s, b and g are the same functions in both directions.

    cuDNN's default is TF32, with ten bits of mantissa.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, and what NumPy and scikit-learn rest on, compute with one thread.

    Their number decides the last bits of a result, and with them, at times, where an iteration ends.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def check_devices(accelerator: str, devices: int) -> None:
    """Raise UsageError if this machine has fewer devices; on a CPU any number of processes can share the cores."""
    import torch

    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(accelerator, devices)
    if devices > there:
        raise UsageError(f"--devices {devices}: the {accelerator} devices of this machine are {there}; use no more")


def check_precision(accelerator: str, precision: str) -> None:
    """Raise UsageError if the accelerator has no arithmetic of this precision."""
    import torch

    if (
        precision == "bf16-mixed"
        and accelerator == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise UsageError(f"--precision {precision}: this GPU does not compute in bfloat16; use --precision 32-true")


def slow_bfloat16(accelerator: str) -> bool:
    """Return whether the accelerator is a CPU that only emulates bfloat16, which makes a step many times as long."""
    import torch

    return accelerator == "cpu" and not (
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def can_compile(accelerator: str) -> bool:
    """Return whether torch.compile finds what it needs: Triton for a GPU, a C++ compiler for a CPU."""
    if accelerator == "cuda":
        return find_spec("triton") is not None
    compilers = (os.environ.get("CXX"), "g++", "clang++")
    return accelerator == "cpu" and any(shutil.which(name) for name in compilers if name)


def is_main_process() -> bool:
    """Return whether this process writes and speaks: it is alone, or rank 0 of those that work together."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"))
