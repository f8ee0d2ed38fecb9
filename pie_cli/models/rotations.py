"""Trained rotations of the features (section 4.3): 1×1 convolutions and linear maps of Householder reflections."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_cli.models.bijections import VolumePreserving, full_precision
from pie_cli.models.densities import at_least_float32

ORTHOGONAL = 1e-4  # how far QQᵀ may be from the identity, element by element: float32's rounding is far below


class Householder(VolumePreserving):
    """Multiply the features by an orthogonal matrix H(v_K)…H(v_1)·Q with H(v) = I − 2vvᵀ/vᵀv (Eq. 19).

    The v_k are trained. Q is a constant orthogonal matrix (so itself a product of reflections); until `start_from` sets
    it there is none, which stands for the identity. The product is orthogonal whatever the optimizer does to the v_k,
    and its inverse is its transpose. Of n features at most n reflections are useful, so no more than that are kept; the
    paper has three (section 5.1).

    Example:
        >>> h = HouseholderLinear(4).matrix()
        >>> torch.allclose(h @ h.T, torch.eye(4), atol=1e-6)
        True
    """

    q: Tensor | None

    def __init__(self, features: int, reflections: int = 3) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(min(reflections, features), features))
        self.register_buffer("q", None)
        self.register_load_state_dict_pre_hook(_match_constant)

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return U and W, both (K, n), with H(v_K)…H(v_1) = I + UᵀW.

        This is the compact form: the v_k at length 1 are U's rows, and W = −2(U + LW) where L is the lower triangle of
        UUᵀ without its diagonal. It is solved from the first row on: each pass gets one row more right. Products alone
        can be computed in every type and exported to every format, a solver for triangles cannot.
        """
        v = at_least_float32(self.vectors)
        u = v * v.square().sum(1, keepdim=True).rsqrt()
        w = start = -2 * u
        below = (start @ u.T).tril(-1)
        for _ in range(1, v.shape[0]):
            w = torch.addmm(start, below, w)
        return u.to(self.vectors.dtype), w.to(self.vectors.dtype)

    def reflections(self) -> Tensor:
        """Return H(v_K)…H(v_1), shape (n, n)."""
        u, w = self.factors()
        return torch.eye(u.shape[1], dtype=u.dtype, device=u.device) + u.T @ w

    @property
    def constant(self) -> Tensor | None:
        """Q, of shape (n, n), orthogonal; None stands for the identity."""
        q = self.q
        if q is not None and q.dtype == torch.float64:
            # It was stored in float32; one Newton step makes it orthogonal to double precision.
            q = q @ (3 * torch.eye(q.shape[0], dtype=q.dtype, device=q.device) - q.T @ q) / 2
        return q

    def matrix(self) -> Tensor:
        """Return the whole orthogonal matrix, shape (n, n)."""
        q = self.constant
        return self.reflections() if q is None else self.reflections() @ q

    def start_from(self, matrix: Tensor) -> None:
        """Set the constant Q to `matrix`, an orthogonal (n, n) matrix."""
        self.q = matrix.to(self.vectors.detach())

    def make_orthogonal(self) -> None:
        """Put the nearest orthogonal matrix in the place of a Q that was rounded to a type shorter than float32."""
        if self.q is not None:
            q = self.q.double()
            if (q @ q.T - torch.eye(q.shape[0], dtype=q.dtype)).abs().max() > ORTHOGONAL:
                u, _, v = torch.linalg.svd(q)
                self.start_from(u @ v)

    def make_room(self) -> None:
        """Have a Q, of no value yet: what a state that has one can be loaded into."""
        self.q = self.vectors.new_empty(2 * self.vectors.shape[1:])


def _match_constant(module: nn.Module, state_dict: Mapping[str, Tensor], prefix: str, *_: object) -> None:
    """Have a Q where the state that is loaded next has one, and none where it has none."""
    assert isinstance(module, Householder)
    if f"{prefix}q" not in state_dict:
        module.q = None
    elif module.q is None:
        module.make_room()


class HouseholderLinear(Householder):
    """The invertible linear map of the linear blocks (section 4.3), on (B, n) vectors.

    Example:
        >>> rotation, x = HouseholderLinear(4), torch.rand(5, 4)
        >>> torch.allclose(rotation.inverse(rotation.map(x)), x, atol=1e-6)
        True
    """

    def map(self, x: Tensor) -> Tensor:
        with full_precision(x):
            (u, w), q = self.factors(), self.constant
            x = x if q is None else F.linear(x, q)
            return torch.addmm(x, x @ w.T, u)

    def inverse(self, y: Tensor) -> Tensor:
        with full_precision(y):
            (u, w), q = self.factors(), self.constant
            y = torch.addmm(y, y @ u.T, w)
            return y if q is None else y @ q


class HouseholderConv1x1(Householder):
    """The invertible 1×1 convolution of the convolutional blocks (section 4.3), on (B, n, H, W) images.

    Example:
        >>> rotation, x = HouseholderConv1x1(4), torch.rand(5, 4, 7, 7)
        >>> torch.allclose(rotation.inverse(rotation.map(x)), x, atol=1e-6)
        True
    """

    def map(self, x: Tensor) -> Tensor:
        with full_precision(x):
            return _at_each_pixel(self.matrix(), x)

    def inverse(self, y: Tensor) -> Tensor:
        with full_precision(y):
            return _at_each_pixel(self.matrix().T, y)


def _at_each_pixel(matrix: Tensor, x: Tensor) -> Tensor:
    """Return the product of a matrix (n, n) with the features of each pixel of x, (B, n, H, W).

    One product for each image leaves x as it lies in memory; an einsum, or a convolution, would copy it twice.
    """
    return torch.bmm(matrix.expand(x.shape[0], -1, -1), x.flatten(2)).unflatten(2, x.shape[2:])
