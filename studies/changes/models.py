"""Other bijections, and other losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pie_cli.models.bijections import Bijection, CheckerboardDownsample, Composition, VolumePreserving
from pie_cli.models.couplings import AffineCoupling, Scaling
from pie_cli.models.pie import PIE
from pie_cli.models.rotations import Householder
from studies.changes.experiment import Change, with_model, with_pie


class _Isometric(PIE):
    """The loss also has the squared logarithm of how much F stretches a small random step."""

    def loss(self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None) -> Tensor:
        return self.loss_terms(x, eps2, reconstruction)["loss"]

    def loss_terms(
        self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None
    ) -> dict[str, Tensor]:
        terms = super().loss_terms(x, eps2, reconstruction)
        step = 0.05 * torch.randn_like(x)
        ends = [torch.cat([z, *residuals], 1) for z, residuals, _ in (self(x), self(x + step))]
        stretch = (ends[1] - ends[0]).square().sum(1) / (2 * step).flatten(1).square().sum(1)
        return {**terms, "loss": terms["loss"] + 0.1 * stretch.log().square().mean()}


isometry = with_pie(_Isometric)


class _Orthogonal(PIE):
    """The loss also has the squared cosine of two small steps of the decoded image: one of z, one of the last residual.

    Where it is 0, the fibres of z stand upright on the manifold that the model decodes, as in Principal Component Flows
    (Cunningham et al. 2022), and the encoder finds the nearest point of it.
    """

    weight = 0.3

    def loss(self, x: Tensor, eps2: Tensor | None = None, reconstruction: Tensor | None = None) -> Tensor:
        loss = super().loss(x, eps2, reconstruction)
        if not self.training:
            return loss
        with torch.no_grad():
            z = self.encode(x)
        residuals = [z.new_zeros(len(z), size) for size in self.residual_sizes]
        along = self.decode(z + 0.05 * torch.randn_like(z)) - (start := self.decode(z))
        residuals[-1] = 0.02 * torch.randn_like(residuals[-1])
        across = self.decode(z, residuals) - start
        cosine = torch.cosine_similarity(along.flatten(1), across.flatten(1))
        return loss + self.weight * cosine.square().mean()


class _GentlyOrthogonal(_Orthogonal):
    """The same with a tenth of the weight."""

    weight = 0.03


upright_fibres, gently_upright_fibres = with_pie(_Orthogonal), with_pie(_GentlyOrthogonal)


def _scale(scaling: Scaling) -> Change:
    """Affine couplings have another scale."""

    def change(model: PIE) -> None:
        for coupling in model.modules():
            if isinstance(coupling, AffineCoupling):
                coupling.scale = scaling

    return with_model(change)


scale_tanh = _scale(lambda t: torch.exp(torch.tanh(t)))
scale_2_tanh = _scale(lambda t: torch.exp(2 * torch.tanh(t)))
scale_exp = _scale(torch.exp)


class _Logit(Bijection):
    """x ↦ logit(α + (1 − 2α)·x), α = 0.05: the pixels as RealNVP takes them (Dinh et al. 2016, section 4.1)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = 0.05 + 0.9 * x
        return torch.logit(p), (math.log(0.9) - torch.log(p * (1 - p))).flatten(1).sum(1)

    def map(self, x: Tensor) -> Tensor:
        return torch.logit(0.05 + 0.9 * x)

    def inverse(self, y: Tensor) -> Tensor:
        return (torch.sigmoid(y) - 0.05) / 0.9


# ε₀² is measured in the range [0, 1].
unit_range = with_model(lambda model: setattr(model, "scaling", Composition()))
logits = with_model(lambda model: setattr(model, "scaling", _Logit()))


class _Quarters(VolumePreserving):
    """The four quarters of an image become channels, where a checkerboard takes every second pixel."""

    def map(self, x: Tensor) -> Tensor:
        return torch.cat([half for rows in x.chunk(2, 2) for half in rows.chunk(2, 3)], 1)

    def inverse(self, y: Tensor) -> Tensor:
        upper, lower = (torch.cat(rows.chunk(2, 1), 3) for rows in y.chunk(2, 1))
        return torch.cat([upper, lower], 2)


def _quarters(model: PIE) -> None:
    for block in model.blocks:
        for place, bijection in enumerate(block.bijections):
            if isinstance(bijection, CheckerboardDownsample):
                block.bijections[place] = _Quarters()  # type: ignore[index]  # of a ModuleList


quarters = with_model(_quarters)


class _Nested(nn.Module):
    """The k-th reflection has its first k − 1 entries zero: reflections of n, n − 1, n − 2 features."""

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.triu()


def _nested(model: PIE) -> None:
    for rotation in model.modules():
        if isinstance(rotation, Householder):
            nn.utils.parametrize.register_parametrization(rotation, "vectors", _Nested())


nested_reflections = with_model(_nested)
