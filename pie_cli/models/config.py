"""Sizes and constants of the models: PIE (paper section 5.1), VAE and WAE (Table 1), and RAE."""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from pie_cli.settings import Count, Dims, Few, Positive, Says, Settings, Share, Variance, Weight, setting

Scale = Literal["contractive", "additive", "affine"]
Likelihood = Literal["bernoulli", "gaussian"]
ImageShape = Annotated[tuple[Count, Count, Count], Says("must be (C, H, W)")]


PAPER_HALVINGS = 2  # of the sides of MNIST's images (section 5.1); those of every model are at least as many
LEAST_SIDE = 4  # pixels that further halvings leave
PAPER_LINEAR, LINEAR_FACTOR = 64, 4  # the size before d (section 5.1), and how much larger each one before that is


def halvings(shape: tuple[int, int, int]) -> int:
    """Return how often a model halves the sides of images (C, H, W), if it is not told.

    Twice, as in the paper, and once more each time that leaves at least `LEAST_SIDE` pixels: 28 → 7, 32 → 4, 64 → 4.
    """
    factor = 2**PAPER_HALVINGS
    while all(side % (2 * factor) == 0 and side >= LEAST_SIDE * 2 * factor for side in shape[1:]):
        factor *= 2
    return factor.bit_length() - 1


def _sides_that_can(shape: tuple[int, int, int], factor: int) -> str:
    """Return the nearest smaller and larger sizes whose sides divide by a factor."""
    smaller, larger = (tuple(step(side / factor) * factor for side in shape[1:]) for step in (math.floor, math.ceil))
    return " and ".join("×".join(map(str, sides)) for sides in (smaller, larger) if min(sides) > 0) + " can"


@dataclass(frozen=True)
class ModelConfig(Settings):
    """What every model has.

    Raises ValueError, naming the field, if a value has another type or is out of bounds, or two do not go together.
    """

    image_shape: ImageShape = setting((1, 28, 28), "(C, H, W) of the images.", option=False)
    latent_dim: Count = setting(10, "d, the size of z.", name="d")

    def derived(self) -> dict[str, Any]:
        """Return what None stands for in each of the settings that may be None."""
        return {}

    def resolved(self) -> dict[str, Any]:
        """Return all settings by name, with what None stands for in its place."""
        return asdict(self) | {name: value for name, value in self.derived().items() if getattr(self, name) is None}


@dataclass(frozen=True)
class PIEConfig(ModelConfig):
    """Sizes and constants of a PIE; the defaults are the paper's MNIST model, 784→392→196→64→10→10 (section 5.1).

    What the paper leaves open is ours: the bounded contraction (without it ε₀² drops out of the likelihood, see
    `ContractiveScale`), which linear blocks are large, and all widths. Raises ValueError as every `ModelConfig` does.

    Example:
        >>> PIEConfig().sizes
        [784, 392, 196, 64, 10, 10]
        >>> PIEConfig(image_shape=(3, 16, 16), latent_dim=8, linear_dims=()).residual_sizes
        [384, 192, 184]
        >>> PIEConfig(image_shape=(1, 30, 28))
        Traceback (most recent call last):
        ValueError: image_shape must be (C, H, W) with H and W divisible by 4, got (1, 30, 28); 28×28 and 32×28 can
    """

    eps2: Variance = setting(
        0.01,
        "ε₀² of PIE: the residuals' [bold]variance[/] (Eq. 12), for images in [-1, 1]; ε₀ is its square root (0.01 "
        "means ε₀ = 0.1).",
        name="eps",
    )
    conv_blocks: Annotated[int, Ge(0), Le(16)] | None = setting(
        None,
        "Number of PIE's convolutional blocks; each halves the image's sides and keeps half of the variables.",
        default_text="2, and 1 more each time that leaves 4 pixels",
    )
    linear_dims: Dims | None = setting(
        None,
        "Sizes between PIE's convolutional blocks and z, such as 128,64; each has a linear block. Empty for none.",
        default_text="64, 256, 1024, … as far as they lie between",
    )
    couplings: Few = setting(3, "K_l, the number of rotations and couplings in each block of PIE.", name="")
    reflections: Count = setting(3, "Trained Householder reflections in each of PIE's rotations (section 5.1).")
    scale: Scale = setting(
        "contractive",
        "Scale s of PIE's couplings: 1 - a + a·sigmoid(t + 2) if contractive, 1 if additive; affine is free to expand.",
    )
    contraction: Share = setting(0.5, "a of the contractive scale in PIE's convolutional blocks, in [0, 1].")
    # Where the linear blocks contract too, r gets small and the picture is no better (docs/EXPERIMENTS.md, scale).
    linear_contraction: Share = setting(0.0, "a in PIE's linear blocks; with 0 they preserve volume.")
    predict_residual: bool = setting(
        True, "Whether g predicts r from z; if not, g = 0 (section 3.4).", name="g", flags=("", "--no-g")
    )
    conv_width: Count = setting(16, "Channels of PIE's convolutional networks s, b and g.", name="")
    dense_width: Count = setting(
        512, "Features of PIE's dense networks s, b and g in the block that reduces to d; fewer elsewhere.", name=""
    )
    dense_depth: Few = setting(3, "Hidden layers of PIE's dense networks in that block; fewer elsewhere.", name="")
    equal_widths: bool = setting(
        False, "Give the networks of all linear blocks the size of those in the block that reduces to d.", added=False
    )
    learn_eps2: bool = setting(
        False, "Train ε₀² too, starting from `eps2`; not in the paper.", name="learned", added=False
    )
    reconstruction: Weight = setting(
        0.0,
        "Weight in PIE's loss of the squared error of decoding from z alone; not in the paper.",
        name="rec",
        added=0.0,
    )

    def check_together(self) -> None:
        blocks, shape = self.halvings, self.image_shape
        if any(side % 2**blocks for side in shape[1:]):
            blamed = "image_shape must be" if blocks <= 2 else f"conv_blocks {blocks} needs images"
            needed = f"{blamed} (C, H, W) with H and W divisible by {2**blocks}"
            raise ValueError(f"{needed}, got {shape}; {_sides_that_can(shape, 2**blocks)}")
        before = self.conv_sizes[-1]
        for size in (*self.dims, self.latent_dim):
            if size > before:
                name = "latent_dim" if size == self.latent_dim else "linear_dims"
                raise ValueError(f"{name} must not exceed the {before} variables that reach it, got {size}")
            before = size

    def derived(self) -> dict[str, Any]:
        return {"conv_blocks": halvings(self.image_shape), "linear_dims": self._rule_of_dims()}

    @property
    def halvings(self) -> int:
        """The number of convolutional blocks: `conv_blocks`, or what the image's sides allow."""
        return halvings(self.image_shape) if self.conv_blocks is None else self.conv_blocks

    @property
    def conv_sizes(self) -> list[int]:
        """Number of variables before the first and after each convolutional block, such as 784, 392, 196."""
        return [math.prod(self.image_shape) // 2**block for block in range(self.halvings + 1)]

    @property
    def dims(self) -> tuple[int, ...]:
        """The sizes between the convolutional blocks and z: `linear_dims`, or by a rule."""
        return self._rule_of_dims() if self.linear_dims is None else self.linear_dims

    def _rule_of_dims(self) -> tuple[int, ...]:
        """Return the paper's 64 if it lies between, and before it four times as many, as long as that halves."""
        before, size, dims = self.conv_sizes[-1], PAPER_LINEAR, tuple[int, ...]()
        while size < before and (size == PAPER_LINEAR or 2 * size <= before):
            dims = (size, *dims) if size > self.latent_dim else dims
            size *= LINEAR_FACTOR
        return dims

    @property
    def sizes(self) -> list[int]:
        """Number of variables before the first and after each block; 784, 392, 196, 64, 10, 10 in section 5.1."""
        return [*self.conv_sizes, *self.dims, self.latent_dim, self.latent_dim]

    @property
    def residual_sizes(self) -> list[int]:
        """D_l, the number of residuals of each splitting level, in encoding order, such as 392, 196, 132, 54."""
        return [before - after for before, after in pairwise(self.sizes) if before > after]

    def dense_size(self, before: int, after: int) -> tuple[int, int]:
        """Return width and number of the hidden layers of a linear block's networks.

        They are largest where d numbers have to stand for many, which is where a PIE loses most. The last block keeps
        all, so its networks only twist z: tiny ones keep the digits together (docs/EXPERIMENTS.md).
        """
        if self.equal_widths or before > after == self.latent_dim:
            return self.dense_width, self.dense_depth
        if before == after:
            return max(4, self.dense_width // 128), max(1, self.dense_depth - 2)
        return max(1, self.dense_width // 2), max(1, self.dense_depth - 1)


@dataclass(frozen=True)
class BaselineConfig(ModelConfig):
    """Sizes of the encoder and decoder that VAE, WAE and RAE share; H and W must divide by 4."""

    width: Count = setting(
        48, "Channels of VAE, WAE and RAE at half the image's size; twice as many after each further halving."
    )

    def check_together(self) -> None:
        if any(side % 2**PAPER_HALVINGS for side in self.image_shape[1:]):
            needed = f"image_shape must be (C, H, W) with H and W divisible by {2**PAPER_HALVINGS}"
            can = _sides_that_can(self.image_shape, 2**PAPER_HALVINGS)
            raise ValueError(f"{needed}, got {self.image_shape}; {can}")
        if self.latent_dim > (pixels := math.prod(self.image_shape)):
            raise ValueError(f"latent_dim must not exceed the {pixels} values of an image, got {self.latent_dim}")


@dataclass(frozen=True)
class VAEConfig(BaselineConfig):
    """Sizes and likelihood of a VAE.

    Example:
        >>> VAEConfig(latent_dim=8, likelihood="gaussian").variance
        0.01
    """

    likelihood: Likelihood | None = setting(
        None, "p(x | z) of a VAE.", default_text="bernoulli for grey images, gaussian for colour"
    )
    # The default is about what ten code dimensions leave unexplained of MNIST, hence near the most likely variance.
    variance: Positive = setting(0.01, "Variance of a pixel in [0, 1] in a VAE's gaussian likelihood.")

    def derived(self) -> dict[str, Any]:
        return {"likelihood": "bernoulli" if self.image_shape[0] < 3 else "gaussian"}

    @property
    def pixel_likelihood(self) -> Likelihood:
        """The likelihood: `likelihood`, or what suits the image's channels."""
        return self.likelihood or self.derived()["likelihood"]


@dataclass(frozen=True)
class WAEConfig(BaselineConfig):
    """Sizes and penalty of a WAE-MMD.

    Example:
        >>> WAEConfig(latent_dim=8).mmd_weight
        10.0
    """

    # 10 in Tolstikhin et al. 2018, whose code multiplies the error by 0.05, which makes it 200 in these units.
    mmd_weight: Weight = setting(10.0, "λ, the weight of WAE's MMD relative to an image's squared error.")


@dataclass(frozen=True)
class RAEConfig(BaselineConfig):
    """Sizes and penalties of an RAE-L2; without penalties it is a plain autoencoder.

    Example:
        >>> RAEConfig(latent_dim=8).latent_weight
        0.0001
    """

    # Both are those of Ghosh et al. 2020, for MNIST.
    latent_weight: Weight = setting(1e-4, "β, the weight of RAE's ½‖z‖² relative to an image's squared error.")
    decoder_weight: Weight = setting(1e-7, "λ, the weight of the sum of the squared weights of RAE's decoder.")
