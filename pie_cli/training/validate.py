"""The check of a model after each epoch: loss, reconstruction from z alone, and whether its samples are images."""

from collections.abc import Callable

import torch
from torch import Tensor

from pie_cli.config.run import TrainingConfig
from pie_cli.data.base import ImageSet
from pie_cli.metrics.codes import spread
from pie_cli.metrics.images import squared_error
from pie_cli.metrics.inference import batch_size
from pie_cli.models.base import Autoencoder
from pie_cli.training.batches import training_batch

Treatment = Callable[[Tensor, TrainingConfig, torch.Generator], Tensor]


@torch.no_grad()
def validate(
    model: Autoencoder, images: ImageSet, config: TrainingConfig, samples: int, treat: Treatment = training_batch
) -> dict[str, float]:
    """Return validation loss and its terms, MSE of reconstruction from z alone, spread of z and health of samples.

    The loss is that of images treated as in training, with the same noise at every epoch; the MSE is that of the clean
    images from z alone, clipped to [0, 1], per pixel value. Random generators are left as they were.
    """
    device = next(model.parameters()).device
    model.eval()
    noise = torch.Generator(device).manual_seed(0)
    codes, squared, sums = [], 0.0, dict[str, float]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for chunk in images.images.split(batch_size(images.images.shape[1:])):
            batch = chunk.to(device)
            for name, value in model.loss_terms(treat(batch, config, noise)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(chunk) / len(images)
            clean = batch.float() / 255
            codes.append(model.encode(clean))
            squared += float(squared_error(clean, model.decode(codes[-1])).sum())
            images.release()
    drawn = model.sample(samples, generator=torch.Generator().manual_seed(0))
    model.train()
    return {
        **{f"val_{name}": value for name, value in sums.items()},
        "val_mse": squared / len(images),
        "z_std": spread(torch.cat(codes)),
        "sample_max_abs": float(drawn.nan_to_num().abs().max()),
        "samples_not_finite": float((~drawn.flatten(1).isfinite().all(1)).sum()),
    }
