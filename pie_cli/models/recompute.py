"""Backpropagation without stored activations: they are computed again from the input."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """A chain of bijections of which only the input is kept for the backward pass.

    Backward, the chain runs again, keeping the input of each bijection, and each bijection once more: memory does not
    grow with the length of the chain, and gradients are those of the plain chain. `PIE.recompute_activations` uses it.
    """

    def __init__(self, bijections: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(y, log_abs_det_jacobian)``, the second of shape (B,)."""
        terms = []
        for bijection in self.bijections:
            x, term = recomputed(bijection, x)
            terms.append(term)
        return x, torch.stack(terms).sum(0)


def recomputed(module: nn.Module, x: Tensor) -> Any:
    """Return module(x), keeping for the backward pass only x.

    Parameters and buffers are arguments of what is computed again, so that those of the forward pass are used,
    whichever way autograd is called (double backward, `functional_call`, hooks); one that has been changed in place is
    an error. What hooks draw at random is drawn again alike.
    """
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def again(x: Tensor, *parameters: Tensor) -> Any:
        return functional_call(module, dict(zip(state, parameters, strict=True)), x)

    return checkpoint(again, x, *state.values(), use_reentrant=False)
