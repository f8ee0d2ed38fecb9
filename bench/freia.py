"""PIE from the parts of FrEIA 0.2 (https://github.com/vislearn/FrEIA).

These parts are used unchanged: GraphINN, IRevNetDownsampling, Flatten, GLOWCouplingBlock, NICECouplingBlock,
HouseholderPerm, Split. With the same weights, the result is the same function as `pie_cli.PIE`. Where ours scales,
GLOWCouplingBlock's hook for the activation of log s takes our scale. Where ours only shifts, NICECouplingBlock replaces
it: it transforms both halves, one after the other as ours does, with networks that give only the shift. Parts that
FrEIA lacks are written as its tutorial shows, as an `InvertibleModule`:

- HouseholderPerm takes only vectors. For images, its matrix, which it returns for the identity, is the kernel of a 1×1
  convolution (`Householder1x1`); FrEIA's AllInOneBlock applies its permutation in the same way.
- Flatten fails on channels-last tensors, so the networks stay contiguous, as they are for FrEIA's users.
- No part only subtracts g(z) from r (NICECouplingBlock always has two networks, AffineCouplingOneSided always a scale):
  `Residual` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from FrEIA.framework import GraphINN, InputNode, Node, OutputNode
from FrEIA.modules import (
    Flatten,
    GLOWCouplingBlock,
    HouseholderPerm,
    InvertibleModule,
    IRevNetDownsampling,
    NICECouplingBlock,
    Split,
)
from torch import Tensor, nn
from torch.nn import functional as F

from bench.architecture import Peer, blocks
from pie_cli import PIEConfig
from pie_cli.models.couplings import Scaling
from pie_cli.models.densities import gaussian_log_prob

Shapes = list[tuple[int, ...]]


class Householder1x1(InvertibleModule):
    """Multiply the channels of an image by HouseholderPerm's matrix."""

    def __init__(self, dims_in: Shapes, n_reflections: int) -> None:
        super().__init__(dims_in)
        self.features = dims_in[0][0]
        self.product = HouseholderPerm([(self.features,)], n_reflections=n_reflections)

    def forward(
        self, x: tuple[Tensor], c: Iterable[Tensor] = (), rev: bool = False, jac: bool = True
    ) -> tuple[tuple[Tensor], float]:
        # HouseholderPerm multiplies rows from the right, a convolution columns from the left: hence `not rev`.
        (matrix,), _ = self.product([torch.eye(self.features, device=x[0].device, dtype=x[0].dtype)], rev=not rev)
        return (F.conv2d(x[0], matrix[:, :, None, None]),), 0.0

    def output_dims(self, input_dims: Shapes) -> Shapes:
        return input_dims


class Residual(InvertibleModule):
    """(z, r) ↔ (z, r − g(z))."""

    def __init__(self, dims_in: Shapes, g: nn.Module) -> None:
        super().__init__(dims_in)
        self.g = g

    def forward(
        self, x: tuple[Tensor, Tensor], c: Iterable[Tensor] = (), rev: bool = False, jac: bool = True
    ) -> tuple[tuple[Tensor, Tensor], float]:
        z, r = x
        return (z, r + self.g(z) if rev else r - self.g(z)), 0.0

    def output_dims(self, input_dims: Shapes) -> Shapes:
        return input_dims


def _log_scale(scale: Scaling, t: Tensor) -> Tensor:
    return scale(t).log()


class FreiaPIE(Peer):
    """F as one GraphINN, with an output for z and for each residual."""

    def __init__(self, config: PIEConfig) -> None:
        super().__init__(config)
        nodes: list[Node] = [InputNode(*config.image_shape)]
        outputs: list[Node] = []

        def append(module: type[InvertibleModule], inputs: Any = None, **arguments: Any) -> Node:
            nodes.append(Node(nodes[-1].out0 if inputs is None else inputs, module, arguments))
            return nodes[-1]

        for block in blocks(config):
            if block.convolutional:
                append(IRevNetDownsampling)
            elif len(nodes[-1].output_dims[0]) == 3:
                append(Flatten)
            for _ in range(config.couplings):
                append(Householder1x1 if block.convolutional else HouseholderPerm, n_reflections=config.reflections)
                coupling = {"subnet_constructor": block.network, "split_len": block.halves[0]}
                if block.scale is None:
                    append(NICECouplingBlock, **coupling)
                else:
                    log_scale = partial(_log_scale, block.scale)
                    append(GLOWCouplingBlock, clamp=1.0, clamp_activation=log_scale, **coupling)
            if block.residual:
                split = append(Split, section_sizes=[block.kept, block.residual])
                g = block.network(block.kept, block.residual)
                residual = append(Residual, [split.out0, split.out1], g=g)
                outputs.append(OutputNode(residual.out1))
        outputs.insert(0, OutputNode(nodes[-1].out0))
        self.flow = GraphINN([*nodes, *outputs], force_tuple_output=True)
        self.residual_shapes = [node.input_dims[0] for node in outputs[1:]]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        (z, *residuals), log_det = self.flow(2 * x - 1)
        return z, [residual.flatten(1) for residual in residuals], log_det + self.size * math.log(2)

    def log_prob(self, x: Tensor) -> Tensor:
        z, residuals, log_det = self(x)
        terms = (gaussian_log_prob(residual, self.config.eps2) for residual in residuals)
        return gaussian_log_prob(z, 1.0) + sum(terms) + log_det

    def encode(self, x: Tensor) -> Tensor:
        return self.flow(2 * x - 1, jac=False)[0][0]

    def decode(self, z: Tensor) -> Tensor:
        residuals = [z.new_zeros(z.shape[0], *shape) for shape in self.residual_shapes]
        (y,), _ = self.flow([z, *residuals], rev=True, jac=False)
        return (y + 1) / 2
