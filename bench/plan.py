"""`python -m bench.plan`: what a PIE of ImageNet-sized images would need, counted on the real model without running it.

It uses fake tensors, which have shapes but no numbers: torch's FLOP counter counts a step's products and convolutions,
and autograd's hooks count the bytes that are kept for the backward pass. Nothing here is timed. The hardware's rates
are assumptions, listed in `Machine`; docs/SCALING.md compares the result with measurements.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from bench.report import table
from bench.subjects import as_trained
from pie_cli import PIE, PIEConfig

IMAGENET = PIEConfig(
    image_shape=(3, 256, 256),
    latent_dim=512,
    conv_blocks=7,
    linear_dims=(1024,),
    couplings=8,
    conv_width=256,
    dense_width=2048,
)
IMAGES = 1_281_167  # of ImageNet's training set
GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """Assumed rates of one GPU and its links: the data sheets' peaks, times the share that such loops reach.

    Arguments:
        flops: sustained bfloat16 operations per second.
        link: bytes per second of an all-reduce inside a machine.
        network: bytes per second of an all-reduce between machines, for each GPU.
        per_node: GPUs in a machine.
    """

    flops: float = 0.3 * 989e12
    link: float = 300e9
    network: float = 40e9
    per_node: int = 8


@dataclass(frozen=True)
class Cost:
    """What one training step costs on one GPU.

    Arguments:
        flops: of products and convolutions, forward and backward.
        stored: bytes kept for the backward pass.
    """

    flops: float
    stored: float


def cost(model: PIE, batch: int, recompute: bool) -> Cost:
    """Return what a step with `batch` images takes; recomputing repeats the networks twice (`models.recompute`)."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return _count(model, torch.rand(batch, *model.config.image_shape), recompute)


def _count(model: PIE, x: Tensor, recompute: bool) -> Cost:
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no two storages share an id
    parameters = {id(tensor) for tensor in model.state_dict(keep_vars=True).values()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in parameters:
            kept[id(tensor.untyped_storage())] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor

    blocks = []
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y, _ = model.scaling(x)
            for block in model.blocks:
                before = sum(kept.values())
                y, _ = block(y)
                y, _ = block.split.z_r(y)
                blocks.append(sum(kept.values()) - before)
        forward = counter.get_total_flops()
        y.sum().backward()
    flops = counter.get_total_flops()
    if not recompute:
        return Cost(flops, sum(kept.values()))
    # Each block stores its output and, while it is worked on, one coupling's activations.
    outputs = 4 * len(x) * sum(model.config.sizes)
    return Cost(flops + 2 * forward, outputs + max(blocks) / model.config.couplings)


def row(model: PIE, machine: Machine, gpus: int, batch: int, recompute: bool) -> list[str]:
    """Return the plan for so many GPUs with `batch` images each."""
    parameters = sum(p.numel() for p in model.parameters())
    constants = sum(b.numel() for b in model.buffers())
    per_gpu = cost(model, batch, recompute)
    compute = per_gpu.flops / machine.flops
    # A ring all-reduce sends twice the gradients, less one share, over the slowest link.
    rate = machine.link if gpus <= machine.per_node else machine.network
    communicate = 2 * 4 * parameters * (gpus - 1) / gpus / rate
    step = max(compute, communicate)  # gradients travel while the backward pass goes on
    steps = math.ceil(IMAGES / (gpus * batch))
    return [
        f"{gpus} GPUs × {batch} images{', recomputed' if recompute else ''}",
        f"{per_gpu.flops / 1e12:.1f}",
        f"{4 * (4 * parameters + constants) / GIB:.1f} + {per_gpu.stored / GIB:.1f}",
        f"{1e3 * compute:.0f}",
        f"{1e3 * communicate:.0f}",
        f"{steps * step / 60:.1f}",
    ]


def main() -> None:
    """Print the plan as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    model = as_trained(IMAGENET)
    header = ["", "TFLOP a step", "GiB: fixed + stored", "compute, ms", "all-reduce, ms", "epoch, min"]
    print(f"{IMAGENET.sizes}, {sum(p.numel() for p in model.parameters()):,} parameters\n")
    plans = [(8, 64), (64, 8), (64, 64)]
    print(table(header, [row(model, Machine(), *plan, recompute) for plan in plans for recompute in (False, True)]))


if __name__ == "__main__":
    main()
