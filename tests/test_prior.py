"""Priors fitted after training."""

from __future__ import annotations

import torch

from pie_cli.prior import sample_fitted_codes


def test_a_fitted_gaussian_has_the_codes_moments() -> None:
    codes = torch.randn(20_000, 3) @ torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 0.3], [0.0, 0.0, 0.1]]) + 4
    drawn = sample_fitted_codes(codes, "gaussian", 20_000, seed=0)
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), codes.T.cov(), atol=0.1, rtol=0)
    assert torch.equal(drawn, sample_fitted_codes(codes, "gaussian", 20_000, seed=0))


def test_a_fitted_mixture_finds_clusters() -> None:
    centres = torch.tensor([[-5.0, 0.0], [5.0, 0.0]])
    codes = centres.repeat(500, 1) + 0.1 * torch.randn(1000, 2)
    drawn = sample_fitted_codes(codes, "fitted", 1000, seed=0)
    assert torch.cdist(drawn, centres).amin(1).max() < 1  # nothing between the clusters, where a Gaussian would be
    assert not (drawn[:10, 0] > 0).all()  # not sorted by component
