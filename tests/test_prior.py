"""Priors fitted after training."""

from __future__ import annotations

import pytest
import torch
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_info, threadpool_limits

from pie_cli.models.priors import sample_fitted_codes


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


def test_the_fit_does_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses one; on real codes, a second one made it end in another maximum."""
    threads = list[int]()
    plain = GaussianMixture.fit

    def fit(self: GaussianMixture, codes: object) -> GaussianMixture:
        threads.extend([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())])
        return plain(self, codes)

    monkeypatch.setattr(GaussianMixture, "fit", fit)
    with threadpool_limits(2):
        sample_fitted_codes(torch.randn(100, 2), "fitted", 10, seed=0)
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}
    assert set(threads) == {1}
