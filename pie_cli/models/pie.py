"""The Pseudo-Invertible Encoder (arXiv 2111.00619): an invertible flow F: x → [z, r] used as an autoencoder.

Read it beside the paper: `PIEConfig` (in `config.py`) is section 5.1, `PIEBlock` section 4.1 and Fig. 4, `PIE.forward`
Eq. 14–16, `PIE.log_prob_terms` Eq. 17, `PIE.decode` Eq. 4.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, takewhile

import torch
from torch import Tensor, nn

from pie_cli.models.base import Autoencoder
from pie_cli.models.bijections import (
    Bijection,
    CheckerboardDownsample,
    Composition,
    Flatten,
    Split,
    SymmetricRange,
    full_precision,
)
from pie_cli.models.config import PIEConfig
from pie_cli.models.couplings import AdditiveCoupling, AffineCoupling, ContractiveScale, Coupling, affine_scale
from pie_cli.models.densities import bits_per_dim, gaussian_log_prob
from pie_cli.models.networks import Networks
from pie_cli.models.rotations import Householder, HouseholderConv1x1, HouseholderLinear


class PIEBlock(Composition):
    """One PIE x ↔ [z, r − g(z)]: Kl times (rotation, coupling), then the split (section 4.1, Fig. 4).

    First comes `entry`: the downsampling of a convolutional block, the flattening before the linear ones. A shape
    (C, H, W) of the variables after that makes a convolutional block, (D,) a linear one; `kept` features (channels, or
    vector entries) make up z.
    """

    def __init__(self, networks: Networks, entry: Sequence[Bijection], shape: tuple[int, ...], kept: int) -> None:
        config, features, discarded = networks.config, shape[0], shape[0] - kept
        rotation = HouseholderConv1x1 if len(shape) == 3 else HouseholderLinear
        network = networks.coupling(shape, kept)
        flow = list(entry)
        for _ in range(config.couplings):
            flow += [rotation(features, config.reflections), _coupling(config, features, network, len(shape) == 3)]
        g = networks.block(shape, kept)(kept, discarded) if discarded and config.predict_residual else None
        super().__init__(*flow, Split(kept, g))
        self.residual_shape = (discarded, *shape[1:])

    @property
    def flow(self) -> Sequence[Bijection]:
        """What comes before the split."""
        return self.bijections[:-1]

    @property
    def split(self) -> Split:
        """The last bijection."""
        split = self.bijections[-1]
        assert isinstance(split, Split)
        return split

    def analyse(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(z, r − g(z), log_abs_det_jacobian)``."""
        if self.recompute and torch.is_grad_enabled():
            y, log_det = self(x)
            return *self.split.z_r(y), log_det
        y, log_det = self.compose(self.flow, x)
        return *self.split.part(y), log_det

    def encode(self, x: Tensor) -> Tensor:
        """Return z alone: neither g nor a log-determinant, nor what the last coupling makes of r."""
        *before, last = self.flow
        for bijection in before:
            x = bijection.map(x)
        assert isinstance(last, Coupling)
        y = last.leading(x) if self.split.kept <= last.sizes[0] else last.map(x)
        return self.split.z_r(y)[0]

    def decode(self, z: Tensor, deviation: Tensor | None = None) -> Tensor:
        """Return F⁻¹([z, g(z) + deviation]); no deviation stands for zero (Eq. 4, 20)."""
        if deviation is None and self.split.g is None:
            deviation = z.new_zeros(z.shape[0], *self.residual_shape)
        y = self.split.unite(z, deviation)
        for bijection in reversed(self.flow):
            y = bijection.inverse(y)
        return y

    @torch.no_grad()
    def start_from_principal_axes(self, x: Tensor) -> Tensor:
        """Set the first rotation so that all rotations together turn x onto its principal axes; return z of x.

        The axis of largest variance comes first, so that the split of a fresh block (whose couplings scale all
        features alike) keeps the most. Initialisation is not fixed by the paper; this one is ours.
        """
        inputs = x
        rotations = [bijection for bijection in self.flow if isinstance(bijection, Householder)]
        for entry in takewhile(lambda bijection: bijection is not rotations[0], self.flow):
            x = entry.map(x)
        trained = torch.eye(rotations[0].vectors.shape[1], dtype=torch.float64)  # on the CPU: not all devices have it
        for rotation in rotations:
            trained = rotation.reflections().cpu().double() @ trained
        samples = x.cpu().double().movedim(1, -1).flatten(0, -2)
        covariance = samples.T.cov().reshape(2 * samples.shape[1:])  # a number, where there is one feature
        axes = torch.linalg.eigh(covariance)[1].flip(1).T
        rotations[0].start_from(trained.T @ axes)
        return self.encode(inputs)


def _coupling(config: PIEConfig, features: int, network: Callable[[int, int], nn.Module], conv: bool) -> Coupling:
    """Return a coupling that scales as the configuration says, in blocks of one kind."""
    a = config.contraction if conv else config.linear_contraction
    if config.scale == "affine":
        return AffineCoupling(features, network, affine_scale)
    if config.scale == "additive" or a == 0:
        return AdditiveCoupling(features, network)
    return AffineCoupling(features, network, ContractiveScale(a))


class PIE(Autoencoder):
    """F: x → [z, r] and its pseudo-inverse; a composition of PIE blocks, which is again a PIE (Eq. 15).

    Images are float tensors (B, C, H, W) in [0, 1]; the scaling to [−1, 1] is the model's first bijection. What is
    called residuals here are the deviations r_l − g_l(z_l), which Eq. 17 compares with N(0, ε₀²I). `networks` makes the
    networks of s, b and g; None stands for the configuration's.

    Example:
        >>> model = PIE(PIEConfig(latent_dim=10, eps2=0.01))
        >>> x = torch.rand(5, 1, 28, 28)
        >>> z, residuals, log_det = model(x)
        >>> z.shape, [tuple(residual.shape) for residual in residuals]
        (torch.Size([5, 10]), [(5, 392), (5, 196), (5, 132), (5, 54)])
        >>> torch.allclose(model.decode(z, residuals), x, atol=1e-4)
        True
        >>> torch.equal(model.decode(z, residuals, keep=0), model.decode(z))
        True
        >>> model.log_prob(x).shape
        torch.Size([5])
    """

    config: PIEConfig
    blocks: Sequence[PIEBlock]

    def __init__(self, config: PIEConfig, networks: Networks | None = None) -> None:
        super().__init__(config.image_shape, config.latent_dim)
        self.config = config
        self.scaling = SymmetricRange()
        self.blocks = nn.ModuleList(_blocks(networks or Networks(config)))  # type: ignore[assignment]
        self.log_eps2 = nn.Parameter(torch.tensor(math.log(config.eps2))) if config.learn_eps2 else None

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return ``(z, residuals, log_det)``: F, level by level (Eq. 14–16).

        z has shape (B, d); residuals holds one (B, D_l) tensor of r_l − g_l(z_l) for each splitting level, in encoding
        order; log_det has shape (B,), in nats. Raises ValueError for images of another shape.
        """
        y, log_det = self.scaling(self.as_images(x))
        residuals = []
        for block in self.blocks:
            y, deviation, term = block.analyse(y)
            log_det = log_det if block.preserves_volume else log_det + term
            if block.residual_shape[0]:
                residuals.append(deviation.flatten(1))
        return y, residuals, log_det

    @property
    def eps2(self) -> float | Tensor:
        """ε₀², a variance in the range [−1, 1]; a tensor with a gradient if it is trained too."""
        return self.config.eps2 if self.log_eps2 is None else self.log_eps2.exp()

    def log_prob_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the terms of Eq. 17, each (B,) in nats: "log_p_z", "log_p_r1", …, "log_det"; log p(x) is their sum.

        Raises ValueError for images of another shape, as do all methods that take images.
        """
        z, residuals, log_det = self(x)
        return self._terms(z, residuals, log_det, self.eps2)

    def _terms(self, z: Tensor, residuals: list[Tensor], log_det: Tensor, eps2: float | Tensor) -> dict[str, Tensor]:
        log_p_r = {f"log_p_r{level}": gaussian_log_prob(r, eps2) for level, r in enumerate(residuals, 1)}
        return {"log_p_z": gaussian_log_prob(z, 1.0), **log_p_r, "log_det": log_det}

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) (Eq. 17), shape (B,), in nats, as a density over images in [0, 1]."""
        return torch.stack(list(self.log_prob_terms(x).values())).sum(0)

    def bits_per_dim(self, x: Tensor) -> Tensor:
        """Return −log₂ of the probability of one of 256 grey levels, per pixel value, shape (B,); x is dequantised."""
        return bits_per_dim(-self.log_prob(x), x[0].numel())

    def loss(self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None) -> Tensor:
        """Return the mean −log p(x) per pixel value, a scalar in nats.

        With a weight of reconstruction, that times the squared error of decoding from z alone is added, in the range
        [−1, 1], to `x` as it is: in training with its noise, whose variance is the least that the error can be.
        While a training anneals ε₀², `eps2` and `reconstruction` take the places of ε₀² and of that weight.
        """
        z, residuals, log_det = self(x)
        terms = self._terms(z, residuals, log_det, self.eps2 if eps2 is None else eps2)
        loss = -torch.stack(list(terms.values())).sum(0).mean() / x[0].numel()
        weight = self.config.reconstruction if reconstruction is None else reconstruction
        return loss if reconstruction is None and not weight else loss + weight * self._error_from_z(z, x)

    def loss_terms(
        self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return "loss", as `loss` returns it, "nll" in nats per image, and the means of all terms of Eq. 17.

        "r1_over_eps2", … are the mean squared residuals in units of ε₀²: 1 where a level is calibrated.
        "reconstruction" is the squared error of decoding from z alone, where it has a weight.
        """
        variance = self.eps2 if eps2 is None else eps2
        z, residuals, log_det = self(x)
        terms = {name: term.mean() for name, term in self._terms(z, residuals, log_det, variance).items()}
        nll = -torch.stack(list(terms.values())).sum()
        loss = nll / x[0].numel()
        terms |= {f"r{level}_over_eps2": r.square().mean() / variance for level, r in enumerate(residuals, 1)}
        weight = self.config.reconstruction if reconstruction is None else reconstruction
        if reconstruction is not None or weight:
            terms["reconstruction"] = self._error_from_z(z, x)
            loss = loss + weight * terms["reconstruction"]
        return {"loss": loss, "nll": nll, **terms}

    def _error_from_z(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the mean squared error of decoding from z alone, in the range [−1, 1]."""
        return 4 * (self.decode(z) - x).square().mean()

    def encode(self, x: Tensor) -> Tensor:
        y = self.scaling.map(self.as_images(x))
        for block in self.blocks:
            y = block.encode(y)
        return y

    def decode(self, z: Tensor, residuals: Sequence[Tensor] | None = None, keep: int | None = None) -> Tensor:
        """Return F⁻¹([z, g(z)]), level by level (Eq. 4, 15); with residuals, the exact inverse of `forward`.

        With `keep`, only so many residuals, those nearest to z, are used, and zeros for the others. Raises ValueError
        for codes of another shape, or `keep` out of range or given without residuals.
        """
        y = self.as_codes(z)
        levels = len(self.residual_sizes)
        if residuals is None and keep is not None:
            raise ValueError("keep needs residuals")
        if residuals is not None and len(residuals) != levels:
            raise ValueError(f"expected {levels} residuals, got {len(residuals)}")
        keep = levels if keep is None else keep
        if not 0 <= keep <= levels:
            raise ValueError(f"keep must lie between 0 and {levels}, got {keep}")
        kept = list(residuals[levels - keep :]) if residuals is not None else []

        for block in reversed(self.blocks):
            splits = block.residual_shape[0] > 0
            deviation = kept.pop().to(y.dtype).unflatten(1, block.residual_shape) if splits and kept else None
            y = block.decode(y, deviation)
        return self.scaling.inverse(y)

    def recompute_activations(self) -> None:
        """From now on, keep no activations for the backward pass: each block's are computed again from its input."""
        for block in self.blocks:
            block.recompute = True

    @property
    def residual_sizes(self) -> list[int]:
        """D_l of each splitting level, as in the configuration."""
        return self.config.residual_sizes

    @torch.no_grad()
    def start_from_data(self, images: Tensor) -> None:
        """Start every block from the principal axes of what reaches it (see `PIEBlock.start_from_principal_axes`)."""
        y = self.scaling.map(self.as_images(images))
        with full_precision(y):
            for block in self.blocks:
                y = block.start_from_principal_axes(y)

    @property
    def first_rotations(self) -> list[Householder]:
        """The first rotation of each block; a start from data gives it a constant."""
        of_blocks = ([one for one in block.flow if isinstance(one, Householder)] for block in self.blocks)
        return [rotations[0] for rotations in of_blocks]

    def expect(self, names: Iterable[str]) -> None:
        """Make room for the constant rotations, where the names of a state have one: the model started from data."""
        if any(name.endswith(".q") for name in names):
            for rotation in self.first_rotations:
                rotation.make_room()


def _blocks(networks: Networks) -> list[PIEBlock]:
    """Return the blocks of section 5.1: convolutional, then linear, the last of which reduces nothing."""
    config, blocks = networks.config, list[PIEBlock]()
    channels, height, width = config.image_shape
    for _ in range(config.halvings):
        shape = (4 * channels, height // 2, width // 2)
        blocks.append(PIEBlock(networks, [CheckerboardDownsample()], shape, kept=2 * channels))
        channels, height, width = 2 * channels, height // 2, width // 2
    entry: list[Bijection] = [Flatten((channels, height, width))]
    for before, after in pairwise(config.sizes[config.halvings :]):
        blocks.append(PIEBlock(networks, entry, (before,), kept=after))
        entry = []
    return blocks
