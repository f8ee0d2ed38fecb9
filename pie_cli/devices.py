"""Where to compute."""

from __future__ import annotations

import os

from pie_cli.errors import UsageError


def find_accelerator(device: str) -> str:
    """Return "cuda", "mps" or "cpu"; "auto" takes the first of them that is there.

    Raises:
        UsageError: if the device that was asked for is not there.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[device]:
        raise UsageError(f"--device {device}: no such device is usable on this machine; use --device auto or cpu")
    return device


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


def is_main_process() -> bool:
    """Return whether this process writes and speaks: it is alone, or rank 0 of those that work together."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"))
