"""SVHN, Street View House Numbers: MATLAB's files of single digits, verified by torchvision's hashes."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pie_cli.data.base import ImageSet
from pie_cli.data.download import Files


def load_svhn(data_dir: Path, offline: bool, report: Callable[[str], None]) -> tuple[ImageSet, ImageSet, str]:
    """Return training images, test images and where they came from; the "extra" images are not used.

    The two files are kept in `data_dir` itself (torchvision's layout). Raises PIEError as `Files.load` does.
    """
    from torchvision.datasets import SVHN

    urls, names, digests = zip(*(SVHN.split_list[split] for split in ("train", "test")), strict=True)
    mirror = urls[0].removesuffix(names[0])
    known = Files("SVHN's two files", dict(zip(names, digests, strict=True)), mirrors=lambda: (mirror,))
    files, source = known.load(data_dir, offline, report)
    training, test = (_parse(files[name]) for name in names)
    return training, test, source


def _parse(content: bytes) -> ImageSet:
    """Return the images and labels of a (verified) file: X (32, 32, 3, N), and y (N, 1) with 10 for the digit 0."""
    from scipy.io import loadmat

    matrices = loadmat(io.BytesIO(content), variable_names=("X", "y"))
    images = torch.from_numpy(np.ascontiguousarray(matrices["X"].transpose(3, 2, 0, 1)))
    return ImageSet(images, torch.from_numpy(matrices["y"].reshape(-1).astype(np.int64) % 10))
