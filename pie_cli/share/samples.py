"""Samples as single images in a folder, as the metrics of other tools want them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pie_cli.data.base import Dataset
from pie_cli.errors import UsageError, advising
from pie_cli.evaluation.evaluate import grey_levels
from pie_cli.io.files import check_vacant, write_folder
from pie_cli.metrics import inference
from pie_cli.models.base import Autoencoder
from pie_cli.models.priors import Fitted
from pie_cli.report.figures import Drawing, codes_of_fitted, variance_of
from pie_cli.runs.folder import Run


def folder_of(run: Run, count: int, what: float | Fitted, seed: int) -> Path:
    """Return where samples go, at a standard deviation of z or of a fitted prior.

    Raises UsageError if something is there, or the model's images have other channels than a PNG file.
    """
    stem = what if isinstance(what, str) else f"variance{variance_of(what)}"
    folder = run.figures / f"samples_{count}_{stem}_seed{seed}"
    check_vacant(folder, "figures_dir", "remove it, or choose another")
    if (channels := run.config.model.image_shape[0]) not in (1, 3):
        raise UsageError(f"`format` png has images of 1 or 3 channels, and those of {run.folder} have {channels}")
    return folder


def write_samples(run: Run, device: str, count: int, std: float, seed: int) -> Drawing:
    """Write `count` images decoded from z ~ N(0, std²·I): the same ones as `report.figures.draw_samples` shows."""
    folder, model = folder_of(run, count, std, seed), run.load_model(device)
    return _write(folder, model, inference.prior_codes(model, count, std, seed))


def write_fitted_samples(run: Run, dataset: Dataset, device: str, count: int, prior: Fitted, seed: int) -> Drawing:
    """Write `count` images decoded from a prior fitted to the training images' codes."""
    folder, model = folder_of(run, count, prior, seed), run.load_model(device)
    return _write(folder, model, codes_of_fitted(model, dataset, count, prior, seed))


def _write(folder: Path, model: Autoencoder, codes: Tensor) -> Drawing:
    """Write the images of codes a batch at a time, so that memory stays bounded. Raises FolderError if that fails."""
    digits, failing = len(str(len(codes) - 1)), 0  # names of one length sort by number

    def write(temporary: Path) -> None:
        nonlocal failing
        first = 0
        for some in codes.split(inference.batch_size(model.image_shape)):
            images = inference.in_batches(model.decode, some, model)
            failing += int((~images.flatten(1).isfinite().all(1)).sum())
            for number, image in enumerate(grey_levels(images.movedim(1, -1)), first):
                (temporary / f"{number:0{digits}}.png").write_bytes(_png(image))
            first += len(some)

    with advising("figures_dir"):
        write_folder(folder, write)
    return Drawing([folder], {"samples": len(codes), "samples with a non-finite pixel": failing})


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (H, W, C) as a PNG file."""
    content = io.BytesIO()  # Pillow fails in its own ways on a full disk
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return content.getvalue()
