"""Priors fitted to the codes after training (ex post): what a model that keeps p(z) = N(0, I) only roughly can sample.

They are no part of the paper's model; wherever one is used, figures and tables say so.
"""

from typing import Literal

import torch
from torch import Tensor

from pie_cli.runtime import one_thread

Fitted = Literal["gaussian", "fitted"]
Prior = Literal["normal", Fitted]
COMPONENTS: dict[Fitted, int] = {"gaussian": 1, "fitted": 10}  # with full covariances; ten, as there are ten digits
DESCRIPTIONS: dict[Fitted, str] = {"gaussian": "a Gaussian", "fitted": "a mixture of ten Gaussians"}


@one_thread()
def sample_fitted_codes(codes: Tensor, prior: Fitted, count: int, seed: int) -> Tensor:
    """Return codes (count, d) from a Gaussian, or a mixture of ten, fitted to `codes` (N, d) by maximum likelihood.

    Example:
        >>> sample_fitted_codes(torch.randn(100, 2), "gaussian", count=5, seed=0).shape
        torch.Size([5, 2])
    """
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(COMPONENTS[prior], random_state=seed).fit(codes.double().numpy())
    drawn, _ = mixture.sample(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))  # they come sorted by component
    return torch.from_numpy(drawn).float()[order]
