"""Sizes and constants of a PIE (paper section 5.1), checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from pie_cli.bijections import additive_scale, affine_scale, contractive_scale
from pie_cli.paper import LARGEST_VARIANCE

Scale = Literal["contractive", "additive", "affine"]


@dataclass(frozen=True)
class PIEConfig:
    """Sizes and constants of a PIE; the defaults are the paper's MNIST model, 784→392→196→64→10→10 (section 5.1).

    Arguments:
        image_shape: (C, H, W); H and W divide by 2**conv_blocks.
        latent_dim: d, the size of z.
        eps2: ε₀², the variance of the residuals (Eq. 12), in units of images scaled to [−1, 1].
        conv_blocks: number of convolutional blocks; each halves the image's sides and keeps half of the variables.
        linear_dims: sizes between the convolutional blocks and z, one linear block each; None stands for the paper's
            (64,) where 64 lies between the two, else for ().
        couplings: Kl, the number of (rotation, coupling) pairs in a block.
        reflections: trained Householder reflections of a rotation (section 5.1: three).
        scale: how the couplings scale: "contractive" (bounded by `contraction`), "additive" (not at all) or "affine".
        contraction: a in s = 1 − a + a·sigmoid(t + 2), in the convolutional blocks.
        linear_contraction: the same in the linear blocks. 0 has them preserve volume: where they contract too, r gets
            small and the picture is no better for it (docs/EXPERIMENTS.md, the scale study).
        predict_residual: False sets g = 0; with eps2 = 1 the model is then a multi-scale RealNVP (section 3.4).
        conv_width: channels of the convolutional networks of s, b and g.
        dense_width: features of the hidden layers of the dense networks of the block that reduces to d numbers.
        dense_depth: number of those layers. The other linear blocks have smaller networks, see `dense_size`.
        reconstruction: weight, in the loss, of the squared error of decoding from z alone; 0 is the paper's.
        learn_eps2: whether ε₀² is trained too, from `eps2` on; the paper's is fixed.

    Raises:
        ValueError: naming the field that is wrong.
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    latent_dim: int = 10
    eps2: float = 0.01
    conv_blocks: int = 2
    linear_dims: tuple[int, ...] | None = None
    couplings: int = 3
    reflections: int = 3
    scale: Scale = "contractive"
    contraction: float = 0.5
    linear_contraction: float = 0.0
    predict_residual: bool = True
    conv_width: int = 16
    dense_width: int = 512
    dense_depth: int = 3
    reconstruction: float = 0.0
    learn_eps2: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        for name in ("couplings", "reflections", "conv_width", "dense_width", "dense_depth", "latent_dim"):
            most = 100 if name in ("couplings", "dense_depth") else 2**20  # a typo should fail, not fill the memory
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie between 1 and {most}, got {getattr(self, name)}")
        if not 0 <= self.conv_blocks <= 16:
            raise ValueError(f"conv_blocks must lie between 0 and 16, got {self.conv_blocks}")
        factor = 2**self.conv_blocks
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or any(s % factor for s in self.image_shape[1:]):
            raise ValueError(f"image_shape must be (C, H, W) with H and W dividing by {factor}, got {self.image_shape}")
        if not 0 < self.eps2 <= LARGEST_VARIANCE:
            raise ValueError(f"eps2 is a variance and must be positive, at most {LARGEST_VARIANCE:g}, got {self.eps2}")
        if not (math.isfinite(self.reconstruction) and self.reconstruction >= 0):
            raise ValueError(f"reconstruction must be finite and not negative, got {self.reconstruction}")
        if self.scale not in get_args(Scale):
            raise ValueError(f"scale must be one of {', '.join(get_args(Scale))}, got {self.scale!r}")
        for name in ("contraction", "linear_contraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        before = self.conv_sizes[-1]
        if self.linear_dims is None:
            object.__setattr__(self, "linear_dims", (64,) if self.latent_dim < 64 < before else ())
        object.__setattr__(self, "linear_dims", tuple(self.linear_dims or ()))
        for size in (*(self.linear_dims or ()), self.latent_dim):
            if size > before:
                name = "latent_dim" if size == self.latent_dim else "linear_dims"
                raise ValueError(f"{name} must not exceed the {before} variables that reach it, got {size}")
            before = size

    @property
    def conv_sizes(self) -> list[int]:
        """Number of variables before the first and after each convolutional block: 784, 392, 196."""
        total = math.prod(self.image_shape)
        return [total // 2**block for block in range(self.conv_blocks + 1)]

    @property
    def sizes(self) -> list[int]:
        """Number of variables before the first and after each block: 784, 392, 196, 64, 10, 10 (section 5.1)."""
        return [*self.conv_sizes, *(self.linear_dims or ()), self.latent_dim, self.latent_dim]

    @property
    def residual_sizes(self) -> list[int]:
        """D_l, the number of residuals of each splitting level, in encoding order: 392, 196, 132, 54."""
        return [before - after for before, after in pairwise(self.sizes) if before > after]

    def dense_size(self, before: int, after: int) -> tuple[int, int]:
        """Return width and number of the hidden layers of a linear block's networks.

        They are largest where d numbers have to stand for many, which is where a PIE loses most. The last block keeps
        all, so its networks only twist z: tiny ones keep the digits together (docs/EXPERIMENTS.md).
        """
        if before == after:
            return max(4, self.dense_width // 128), max(1, self.dense_depth - 2)
        if after > self.latent_dim:
            return max(1, self.dense_width // 2), max(1, self.dense_depth - 1)
        return self.dense_width, self.dense_depth

    def scale_function(self, convolutional: bool) -> Callable[[Tensor], Tensor]:
        """Return the map from a network's raw output to s > 0, in blocks of one kind."""
        a = self.contraction if convolutional else self.linear_contraction
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            "contractive": contractive_scale(a) if a else additive_scale,
            "additive": additive_scale,
            "affine": affine_scale,
        }
        return functions[self.scale]
