"""What is compared: this project's PIE in its precisions, and the same architecture from other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from pie_cli import PIE, PIEConfig
from pie_cli.config.naming import run_config
from pie_cli.errors import PIEError
from pie_cli.models.rotations import Householder
from pie_cli.runtime import slow_bfloat16
from pie_cli.training.loop import clip_gradients


def as_trained(config: PIEConfig) -> PIE:
    """Return a PIE with the constants that a training sets at its start: one matrix in each block's first rotation.

    A matrix costs the same whatever its values; with the identity, the model stays the same function as its peers.
    """
    model = PIE(config)
    for block in model.blocks:
        first = next(bijection for bijection in block.flow if isinstance(bijection, Householder))
        first.start_from(torch.eye(first.vectors.shape[1]))
    return model


def _recomputing(config: PIEConfig) -> PIE:
    model = as_trained(config)
    model.recompute_activations()
    return model


def _freia(config: PIEConfig) -> Any:
    from bench.freia import FreiaPIE

    return FreiaPIE(config)


def _normflows(config: PIEConfig) -> Any:
    from bench.normalizing_flows import NormflowsPIE

    return NormflowsPIE(config)


@dataclass(frozen=True)
class Subject:
    """One implementation of PIE, with its options.

    Arguments:
        build: makes the model, which has `loss`, `encode`, `log_prob` and `sample`.
        dtype: type of the networks' products under autocast; float32 means no autocast.
        compiled: whether the loss goes through torch.compile in training.
        plain: whether its training step is that of textbooks and the peers' tutorials (torch's default Adam and
            `clip_grad_norm_`) instead of this project's.
        mode: how torch.compile compiles; None is its own choice.
    """

    build: Callable[[PIEConfig], Any]
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    plain: bool = False
    mode: str | None = None

    def precision(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context to compute in."""
        return nullcontext() if self.dtype == torch.float32 else torch.autocast(device.type, self.dtype)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that is called, compiled or not."""
        return torch.compile(function, mode=self.mode) if self.compiled else function


OURS = "pie"
PEERS = ("FrEIA", "normflows")
# This project's fast options. Add another one here, and everything below measures it.
FAST = {
    "pie, bfloat16": Subject(as_trained, torch.bfloat16),
    "pie, compiled": Subject(as_trained, compiled=True),
    "pie, bfloat16, compiled": Subject(as_trained, torch.bfloat16, compiled=True),
}
# The options that save memory.
LEAN = {
    "pie, recompute": Subject(_recomputing),
    "pie, bfloat16, recompute": Subject(_recomputing, torch.bfloat16),
}
SUBJECTS = {
    OURS: Subject(as_trained),
    **FAST,
    **LEAN,
    "FrEIA": Subject(_freia, plain=True),
    "normflows": Subject(_normflows, plain=True),
    "FrEIA, our step": Subject(_freia),
    "normflows, our step": Subject(_normflows),
    "FrEIA, compiled, our step": Subject(_freia, compiled=True),
    "normflows, compiled, our step": Subject(_normflows, compiled=True),
    "FrEIA, bfloat16, our step": Subject(_freia, torch.bfloat16),
    "normflows, bfloat16, our step": Subject(_normflows, torch.bfloat16),
}


def worth_measuring(names: Iterable[str], device: torch.device) -> list[str]:
    """Return the names of subjects and floors, without those in bfloat16 where the device only emulates it.

    Emulated, a step takes ten times as long, and nobody should train so.
    """
    return [name for name in names if not (slow_bfloat16(device.type) and "bfloat16" in name)]


class TrainingStep:
    """One step of training on the same batch each time: loss, backward, clipping, Adam, zero_grad.

    Arguments:
        subject: what is trained.
        config: the architecture.
        x: images (B, C, H, W) in [0, 1], on the device to compute on.
    """

    def __init__(self, subject: Subject, config: PIEConfig, x: Tensor) -> None:
        torch.manual_seed(0)
        training = run_config().resolved
        assert training.lr is not None
        self.subject, self.x = subject, x
        self.model = subject.build(config).to(x.device)
        self.loss = subject.compile(self.model.loss)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = Adam(self.parameters, lr=training.lr, fused=None if subject.plain else True)
        self.max_norm = training.grad_clip

    def gradients(self) -> None:
        """Compute the loss and its gradients, and discard them: the part of a step that comes before the update."""
        self._backward()
        self.optimizer.zero_grad()

    def __call__(self) -> None:
        self._backward()
        if self.subject.plain:
            nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        else:
            clip_gradients(self.model, self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _backward(self) -> None:
        with self.subject.precision(self.x.device):
            loss: Tensor = self.loss(self.x)
        loss.backward()
        self.last_loss = loss.detach()

    def check(self) -> None:
        """Raise PIEError unless the last loss is finite: otherwise, the time is not that of a training."""
        if not self.last_loss.isfinite():
            raise PIEError("the loss is not finite, so the time of this training is worth nothing")
