"""UMAP (McInnes et al. 2018), seeded so that the same codes give the same plane."""

import atexit
import os
import tempfile
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pie_cli.runtime import one_thread

NEIGHBOURS = 15
FEWEST = 4  # codes of which UMAP makes a plane


def _umap() -> Any:
    """Return umap.UMAP, also where numba may not keep what it compiles, neither beside UMAP nor in the user's home."""
    if os.path.expanduser("~") == "~":  # a user without a home: numba would make a folder of this name
        _keep_compiled_until_the_end()
    try:
        from umap import UMAP
    except RuntimeError:  # numba: "cannot cache function …: no locator available"
        _keep_compiled_until_the_end()
        from umap import UMAP
    return UMAP


def _keep_compiled_until_the_end() -> None:
    """Give numba a folder that lasts as long as this process."""
    import numba

    folder = tempfile.TemporaryDirectory(prefix="pie-numba-")
    atexit.register(folder.cleanup)
    setattr(numba.config, "CACHE_DIR", folder.name)  # noqa: B010  # the module makes its names when it is imported


def umap_plane(codes: Tensor, seed: int) -> Tensor:
    """Return UMAP's two-dimensional embedding (N, 2) of codes (N, d), the same for the same seed; nan of too few."""
    if len(codes) < FEWEST:
        return torch.full((len(codes), 2), torch.nan)
    count = min(NEIGHBOURS, len(codes))
    with warnings.catch_warnings():
        # UMAP warns that it will run on one thread, and that new points cannot be added: both are meant.
        warnings.filterwarnings("ignore", category=UserWarning, module="umap")
        from sklearn.neighbors import NearestNeighbors

        # Exact neighbours: at this size as fast as UMAP's approximation, which costs half a minute to compile.
        neighbours = NearestNeighbors(n_neighbors=count).fit(codes.numpy())
        distances, indices = neighbours.kneighbors(codes.numpy())
        known = (indices, distances.astype(np.float32), None)
        reducer = _umap()(n_neighbors=count, min_dist=0.1, random_state=seed, n_jobs=1, precomputed_knn=known)
        # Where the neighbour graph falls apart, UMAP places its components by NumPy's global generator; and its numba
        # changes the number of threads that torch uses, which is put back.
        state = np.random.get_state()
        np.random.seed(seed)
        try:
            with one_thread():
                return torch.from_numpy(reducer.fit_transform(codes.numpy()))
        finally:
            np.random.set_state(state)
