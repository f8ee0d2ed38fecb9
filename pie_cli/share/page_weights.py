"""The weights inside a page: in half precision, but for what must not be rounded."""

from __future__ import annotations

from copy import deepcopy

import torch
from safetensors.torch import save
from torch import Tensor

from pie_cli.models.base import Autoencoder

TOLERATED = 1e-3  # largest change of a reconstruction's pixel by the rounding of the weights
CHECKED = 100  # images of which reconstructions are compared
# Tensors of at most so many numbers stay in float32, the fewest that are enough: they are most of the layers that are
# near to the pixels, and hardly any of the bytes.
SMALL = (0, 2**12, 2**16, 2**62)


def packed_weights(model: Autoencoder, images: Tensor) -> bytes:
    """Return a model's weights as safetensors, in half precision as far as reconstructions of uint8 images allow it.

    Buffers stay as they are: a rotation's constant must be orthogonal to float32's precision.
    """
    for small in SMALL:
        packed = halved(model, small)
        if change_by(model, packed, images[:CHECKED]) < TOLERATED:
            break
    return save({name: tensor.cpu().contiguous() for name, tensor in packed.items() if tensor.is_floating_point()})


def halved(model: Autoencoder, small: int) -> dict[str, Tensor]:
    """Return a model's tensors, with parameters of more than `small` numbers in half precision."""
    parameters = {name for name, tensor in model.named_parameters() if tensor.numel() > small}
    return {name: t.detach().half() if name in parameters else t for name, t in model.state_dict().items()}


@torch.no_grad()
def change_by(model: Autoencoder, tensors: dict[str, Tensor], images: Tensor) -> float:
    """Return the largest difference that these tensors make to the reconstructions of images; inf if it is none."""
    rounded = deepcopy(model)
    rounded.load_state_dict({name: tensor.to(model.state_dict()[name].dtype) for name, tensor in tensors.items()})
    x = images.to(next(model.parameters()).device).float() / 255
    change = (rounded.reconstruct(x) - model.reconstruct(x)).abs().max().item()
    return change if change == change else float("inf")
