"""The parts of a model that are exported: each is one graph from tensors to tensors, of any batch size."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F

from pie_cli.errors import PIEError
from pie_cli.models.base import Autoencoder
from pie_cli.models.bijections import VolumePreserving
from pie_cli.models.pie import PIE
from pie_cli.models.rotations import Householder, HouseholderConv1x1

BATCHES = (1, 2, 7)  # sizes that an exported part is checked with
TOLERANCE = 1e-4  # how far its results may be from the model's
EXAMPLE = 2  # images in the batch that a part is traced with; one would be taken for the only size

Inputs = tuple[Any, ...]  # tensors, and lists of them
Computed = Callable[..., Any]  # from inputs to a tensor, or to z and a list of tensors


class _Rotation(VolumePreserving):
    """A trained rotation as the matrix that it has become: one product instead of its reflections in every call."""

    def __init__(self, rotation: Householder) -> None:
        super().__init__()
        self.matrix = nn.Buffer(rotation.matrix().detach().clone())

    def map(self, x: Tensor) -> Tensor:
        return self._times(self.matrix, x)

    def inverse(self, y: Tensor) -> Tensor:
        return self._times(self.matrix.T, y)

    @staticmethod
    def _times(matrix: Tensor, x: Tensor) -> Tensor:
        return F.linear(x, matrix) if x.ndim == 2 else F.conv2d(x, matrix[:, :, None, None])


class _Reflections(VolumePreserving):
    """A rotation of vectors that is reflections alone, I + UᵀW: of n features, 2K rows and no n×n matrix."""

    def __init__(self, rotation: Householder) -> None:
        super().__init__()
        self.u, self.w = (nn.Buffer(factor.detach().clone()) for factor in rotation.factors())

    def map(self, x: Tensor) -> Tensor:
        return x + (x @ self.w.T) @ self.u

    def inverse(self, y: Tensor) -> Tensor:
        return y + (y @ self.u.T) @ self.w


def _fixed_rotation(rotation: Householder) -> VolumePreserving:
    small = rotation.constant is not None or isinstance(rotation, HouseholderConv1x1)  # as small as what it replaces
    return _Rotation(rotation) if small else _Reflections(rotation)


def _fixed(model: Autoencoder) -> Autoencoder:
    """Return a copy of a model that nobody trains any more."""
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for block in model.blocks if isinstance(model, PIE) else ():
        block.bijections = nn.ModuleList(  # type: ignore[assignment]  # ModuleList is not generic
            _fixed_rotation(one) if isinstance(one, Householder) else one for one in block.bijections
        )
    return model


class _OfModel(nn.Module):
    """A graph of a model. Each has a `forward` of its own, whose arguments torch.export reads by name."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class _Encode(_OfModel):
    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images)


class _Decode(_OfModel):
    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


class _EncodeExact(_OfModel):
    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        z, residuals, _ = self.model(images)
        return z, residuals


class _DecodeExact(_OfModel):
    def forward(self, z: Tensor, residuals: list[Tensor]) -> Tensor:
        return self.model.decode(z, residuals)


@dataclass(frozen=True)
class Part:
    """One graph of a model.

    Arguments:
        name: of its file, such as "encode".
        module: what is exported.
        model: what it must compute.
        takes: names of the tensors that go in, flat: "images", or "z" and "r1", "r2", …
        gives: names of those that come out.
    """

    name: str
    module: nn.Module
    model: nn.Module
    takes: tuple[str, ...]
    gives: tuple[str, ...]

    def inputs(self, images: Tensor, z: Tensor, residuals: list[Tensor]) -> Inputs:
        """Return what goes in, of these."""
        if self.takes == ("images",):
            return (images,)
        return (z,) if self.takes == ("z",) else (z, residuals)


def parts_of(model: Autoencoder) -> list[Part]:
    """Return encode (images → z) and decode (z → images); of a PIE also both with all residuals, which are exact."""
    images, z, fixed = ("images",), ("z",), _fixed(model)
    kinds: list[tuple[str, type[_OfModel], tuple[str, ...], tuple[str, ...]]]
    kinds = [("encode", _Encode, images, z), ("decode", _Decode, z, images)]
    if isinstance(model, PIE):
        whole = (*z, *(f"r{level}" for level, _ in enumerate(model.residual_sizes, 1)))
        kinds += [("encode_exact", _EncodeExact, images, whole), ("decode_exact", _DecodeExact, whole, images)]
    return [Part(name, kind(fixed), kind(model), takes, gives) for name, kind, takes, gives in kinds]


def flat(values: Any) -> list[Tensor]:
    """Return the tensors in a tensor, tuple or list, in order."""
    return [values] if isinstance(values, Tensor) else [tensor for value in values for tensor in flat(value)]


def examples(model: Autoencoder, count: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return images (count, C, H, W) that the model has drawn, with their codes and residuals: always the same ones."""
    images = model.sample(count, generator=torch.Generator().manual_seed(0)).nan_to_num(0.0).clamp(0, 1)
    if isinstance(model, PIE):
        z, residuals, _ = model(images)
        return images, z, residuals
    return images, model.encode(images), []


def traced(part: Part, model: Autoencoder) -> torch.export.ExportedProgram:
    """Return a part as a program of torch.export. Raises PIEError if it cannot be."""
    batch = torch.export.Dim("batch", min=1)
    inputs = part.inputs(*examples(model, EXAMPLE))
    shapes = tuple([{0: batch} for _ in one] if isinstance(one, list) else {0: batch} for one in inputs)
    with quiet(part.name):
        program = torch.export.export(part.module.eval(), inputs, dynamic_shapes=shapes)
    for module in program.graph_module.modules():  # graphs are within graphs
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names folders of this machine
    return program


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Leave out the warnings of an exporter, and make its errors, of any kind, one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PIEError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PIEError(f"{name} of this model cannot be exported: {reason}; nothing was written") from error


def largest_difference(part: Part, model: Autoencoder, compute: Computed) -> float:
    """Return how far results of `compute` are from the model's, over the batch sizes of `BATCHES`.

    Of values beyond 1 the difference is relative: float32 has no more digits of them. Raises PIEError if that is more
    than `TOLERANCE`, or no number, or the model's own results are not finite.
    """
    largest = torch.zeros(())
    for count in BATCHES:
        inputs = part.inputs(*examples(model, count))
        for found, expected in zip(flat(compute(*inputs)), flat(part.model(*inputs)), strict=True):
            if not expected.isfinite().all():
                raise PIEError(f"{part.name} of this model gives numbers that are not finite; train it again")
            if found.shape != expected.shape:
                raise _disagreement(part, f"of shape {tuple(found.shape)} instead of {tuple(expected.shape)}")
            largest = torch.maximum(largest, ((found - expected).abs() / expected.abs().clamp(min=1)).max())
    if not largest <= TOLERANCE:  # nan is not
        raise _disagreement(part, f"{largest:.2g} away, and {TOLERANCE:g} is the most")
    return largest.item()


def _disagreement(part: Part, what: str) -> PIEError:
    return PIEError(
        f"the exported {part.name} does not compute what the model does: results are {what}; it is not kept"
    )
