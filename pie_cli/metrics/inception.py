"""The Fréchet distance in Inception's features, the published FID's: for images whose classes nobody knows."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from pie_cli.data.base import ImageSet
from pie_cli.metrics.realism import frechet_distance

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # as torch-fidelity calls and keeps them
BATCH = 50  # images at a time, which the network enlarges to 299×299

Extractor = Callable[[Tensor], Tensor]  # from uint8 images (B, 3, H, W) to features (B, 2048)


def weights() -> Path | None:
    """Return where the weights lie; None without the extra `fid`, or where they were not fetched: nothing is here."""
    if find_spec("torch_fidelity") is None:
        return None
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    return path if path.is_file() else None


def inception_frechet_distance(real: ImageSet, generated: Tensor) -> float:
    """Return the FID of images (N, C, H, W) in [0, 1] beside real ones; nan without `weights` or a finite value."""
    extractor = _extractor()
    if extractor is None:
        return math.nan
    parts = [_features(extractor, images) for images in real.images.split(BATCH)]
    real.release()
    found = [_features(extractor, images.clamp(0, 1).mul(255).round().byte()) for images in generated.split(BATCH)]
    missing = not generated.isfinite().all()  # which rounding hides
    return math.nan if missing else frechet_distance(torch.cat(parts), torch.cat(found))


def _features(extractor: Extractor, images: Tensor) -> Tensor:
    """Return the features of uint8 images of any number of channels: three of them, or grey three times."""
    coloured = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    with torch.no_grad():
        return extractor(coloured.contiguous())


def _extractor() -> Extractor | None:
    """Return Inception, if its weights are there and can be read."""
    if (path := weights()) is None:
        return None
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path)).eval()
    except Exception:  # whatever is wrong with the file, the measure is an extra
        return None
