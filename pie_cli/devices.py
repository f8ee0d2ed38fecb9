"""Where to compute."""

from __future__ import annotations

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
