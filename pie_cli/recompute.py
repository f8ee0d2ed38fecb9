"""Backpropagation through a bijection from its output alone: what an invertible network need not store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Invertible(Protocol):
    """A map with parameters, a log-determinant and an inverse: what `bijections.Bijection` is."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]: ...
    def inverse(self, y: Tensor) -> Tensor: ...
    def parameters(self) -> Any: ...


def forward_without_activations(chain: Sequence[Invertible], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(y, log_abs_det_jacobian)`` of the chain, keeping for the backward pass only y.

    Backward, each bijection's input is computed from its output by the inverse, and its gradient from a second
    forward pass: two more evaluations of its networks, and memory that does not grow with the length of the chain.
    Gradients are those of the plain chain up to the rounding of the inverse.
    """
    parameters = [p for bijection in chain for p in bijection.parameters()]
    y, log_det = _Chain.apply(chain, x, *parameters)
    return y, log_det


class _Chain(torch.autograd.Function):
    """The parameters are inputs, so that autograd (and whatever hooks onto it) sees their gradients arrive."""

    @staticmethod
    def forward(ctx: Any, chain: Sequence[Invertible], x: Tensor, *parameters: nn.Parameter) -> tuple[Tensor, Tensor]:
        log_det = x.new_zeros(len(x))
        for bijection in chain:
            x, term = bijection(x)
            log_det = log_det + term
        ctx.chain = chain
        device = x.device.type
        ctx.autocast = {"enabled": torch.is_autocast_enabled(device), "dtype": torch.get_autocast_dtype(device)}
        ctx.save_for_backward(x)
        return x, log_det

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, grad_log_det: Tensor) -> Any:
        (y,) = ctx.saved_tensors
        parameter_grads: list[Tensor] = []
        # The networks must compute as they did forward, or the inverse would be another function's.
        with torch.autocast(y.device.type, **ctx.autocast):
            for bijection in reversed(ctx.chain):
                parameters = list(bijection.parameters())
                with torch.no_grad():
                    x = bijection.inverse(y)
                with torch.enable_grad():
                    inputs = x.detach().requires_grad_()
                    output, term = bijection(inputs)
                    # A volume-preserving bijection's log-determinant is a constant, without a gradient.
                    outputs = [(output, grad_y)] + ([(term, grad_log_det)] if term.requires_grad else [])
                    grad_y, *grads = torch.autograd.grad(
                        [value for value, _ in outputs], [inputs, *parameters], [grad for _, grad in outputs],
                        allow_unused=True, materialize_grads=True,
                    )  # fmt: skip
                parameter_grads = grads + parameter_grads
                y = x
        return None, grad_y, *parameter_grads
