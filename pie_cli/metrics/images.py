"""Figures of merit of images: sharpness (section 5.2), squared error, structural similarity.

Sharpness says nothing of realism (noise is sharp), so the paper's Table 1 is read beside `realism.realism`.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Literal["four", "eight"]
Border = Literal["valid", "reflect", "zero"]

CHUNK = 1000  # images handled at a time, so that memory stays bounded
LARGEST = 2**24  # pixel values handled at a time
WINDOW = 11  # pixels of a side of the structural similarity's window, half of which is reflected at the border
LAPLACIANS = {
    "four": [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]],
    "eight": [[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]],
}
BORDERS = {"valid": None, "reflect": "reflect", "zero": "constant"}


def laplacian_variance(images: Tensor, kernel: Kernel = "four", border: Border = "valid") -> Tensor:
    """Return the sharpness of each image, shape (N,): the variance of its response to a 3×3 Laplacian.

    The defaults reproduce the paper's "True 0.18" (section 5.2, Table 1) on MNIST's test images. The variance is the
    population's, over all responses of one image. Images (N, C, H, W) are taken as they are: clip generated ones to
    [0, 1] first. Three channels become grey by the luma weights of ITU-R BT.601, any other number by their mean.

    The border "valid" uses only responses that lie wholly inside the image; "reflect" and "zero" pad it by one pixel.
    Raises ValueError for an unknown kernel or border.
    """
    if images.numel() > LARGEST and len(images) > 1:  # what the response needs stays bounded
        parts = images.split(max(1, LARGEST // images[0].numel()))
        return torch.cat([laplacian_variance(part, kernel, border) for part in parts])
    for name, value, known in (("kernel", kernel, LAPLACIANS), ("border", border, BORDERS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {sorted(known)}, got {value!r}")
    grey = images.mean(1, keepdim=True)
    if images.shape[1] == 3:
        grey = (images * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    if padding := BORDERS[border]:
        grey = F.pad(grey, (1, 1, 1, 1), mode=padding)
    response = F.conv2d(grey, grey.new_tensor(LAPLACIANS[kernel])[None, None])
    return response.flatten(1).var(1, correction=0)


def sharpness(images: Tensor) -> tuple[float, float]:
    """Return the mean of `laplacian_variance`, as in Table 1, and its standard error, nan of a single image."""
    values = laplacian_variance(images).double()
    if len(values) < 2:
        return values.mean().item(), math.nan
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def squared_error(x: Tensor, x_hat: Tensor, clip: bool = True) -> Tensor:
    """Return the mean squared error per pixel, shape (N,), of images (N, C, H, W) in [0, 1] and their reconstructions.

    `clip` compares what a viewer sees, `x_hat` clipped to [0, 1]; it never makes the error larger.
    """
    return (x - (x_hat.clamp(0, 1) if clip else x_hat)).square().flatten(1).mean(1)


def reconstruction_mse(x: Tensor, x_hat: Tensor, clip: bool = True) -> float:
    """Return the mean of `squared_error` over all images."""
    return squared_error(x, x_hat, clip).double().mean().item()


def ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return the structural similarity of each image and its reconstruction clipped to [0, 1], shape (N,).

    At most 1, for equal images (Wang et al. 2004, doi:10.1109/TIP.2003.819861: Gaussian window of σ = 1.5). It is nan
    where a side has no more pixels than half of the window.
    """
    if min(x.shape[2:]) <= WINDOW // 2:
        return x.new_full((len(x),), torch.nan)
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = [
        structural_similarity_index_measure(b.clamp(0, 1), a, data_range=1.0, reduction="none")
        for a, b in zip(x.split(CHUNK), x_hat.split(CHUNK), strict=True)
    ]
    return torch.cat([value.reshape(-1) for value in values if isinstance(value, Tensor)])
