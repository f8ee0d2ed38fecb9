"""The figures of section 5.1 and of the appendix, each from one trained run: encode, decode, draw."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pie_cli.constants import COLUMNS
from pie_cli.data.base import Dataset
from pie_cli.errors import FolderError, UsageError, advising
from pie_cli.io.files import write_text
from pie_cli.metrics import inference
from pie_cli.metrics.codes import cross_validated_knn_accuracy, silhouette, trustworthiness
from pie_cli.metrics.embedding import umap_plane
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.models.base import Autoencoder
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.models.priors import COMPONENTS, DESCRIPTIONS, Fitted, Prior, sample_fitted_codes
from pie_cli.plots import figures
from pie_cli.runs.folder import Run

LARGEST_SPREAD = 1e6  # of codes; far beyond it, floats overflow


@dataclass
class Drawing:
    """What a figure command made: its files, and the numbers that it prints."""

    files: list[Path]
    numbers: dict[str, float] = field(default_factory=dict)


def draw_reconstructions(run: Run, dataset: Dataset, device: str, count: int) -> Drawing:
    """Fig. 7a: the first `count` test images, each row of originals above its reconstructions from z alone."""
    model = run.load_model(device)
    first, errors, _ = inference.decoded_beside(model.reconstruct, dataset.test, model, count)
    mse = errors.double().mean().item()
    data = {"originals": inference.clean(dataset.test[:count]), "reconstructions": first}
    pairs = pair_rows(*data.values())
    title = f"{run.label}\ntest MSE from z alone: {mse:.4f}"
    figure = figures.image_grid(pairs.numpy(), title, ["original", "from z alone"] * (len(pairs) // 2))
    return Drawing(_save(figure, run, "reconstructions", data), {"test MSE, from z alone": mse})


def check_reconstruction(run: Run, keep: int | None, count: int | None, project: int | None) -> None:
    """Raise UsageError if `keep` asks for levels that the run's model lacks, or if the settings exclude each other."""
    chosen = {"keep": keep, "project": project}
    if len(used := [name for name, value in chosen.items() if value is not None]) > 1:
        raise UsageError("`keep` and `project` draw different figures; give one of them")
    if used and count is not None:
        raise UsageError(f"`{used[0]}` shows {COLUMNS} images; leave out `count`")
    if keep is None:
        return
    if not isinstance(run.config.model, PIEConfig):
        raise UsageError(f"`keep` needs the residuals of a PIE; {run.folder} holds another model")
    levels = len(run.config.model.residual_sizes)
    if not 0 <= keep <= levels:
        raise UsageError(f"`keep` must lie between 0 and {levels}, the residual levels of {run.folder}; got {keep}")


def draw_projections(run: Run, dataset: Dataset, device: str, steps: int) -> Drawing:
    """Test images from z alone, and the nearest images that the model decodes, found by `steps` steps of Adam."""
    model = run.load_model(device)
    originals = inference.random_tenth(dataset.test)
    decoded = inference.in_batches(model.reconstruct, originals, model)
    projected = inference.projections(model, originals, steps)
    images = torch.stack([of[:COLUMNS] for of in (originals, decoded, projected)])
    labels = ["original", "from z alone", f"projected: {steps} steps"]
    numbers = {
        f"MSE of {len(originals):,} test images, from z alone": reconstruction_mse(originals, decoded),
        f"the same, projected by {steps} steps": reconstruction_mse(originals, projected),
    }
    figure = figures.image_grid(images.numpy(), run.label, labels)
    return Drawing(_save(figure, run, f"reconstructions_project{steps}", {"images": images}), numbers)


def draw_progressive(run: Run, dataset: Dataset, device: str, keep: int) -> Drawing:
    """Test images from z alone, with the `keep` residual levels nearest to z, and with all."""
    model = run.load_model(device)
    assert isinstance(model, PIE)
    levels = len(model.residual_sizes)
    rows, numbers, labels = [inference.clean(dataset.test[:COLUMNS])], {}, ["original"]
    for kept in sorted({0, keep, levels}):
        decode = partial(inference.decode_kept, model, keep=kept)
        first, errors, largest = inference.decoded_beside(decode, dataset.test, model, COLUMNS)
        size = f"{model.latent_dim + sum(model.residual_sizes[levels - kept :])} numbers"
        labels.append({0: "from z alone", levels: "exact inverse"}.get(kept, f"{kept} levels: {size}"))
        rows.append(first)
        numbers[f"test MSE, {kept} residual levels kept ({size})"] = errors.double().mean().item()
    numbers["largest error of the exact inverse"] = largest.max().item()
    images = torch.stack(rows)
    figure = figures.image_grid(images.numpy(), run.label, labels)
    return Drawing(_save(figure, run, f"reconstructions_keep{keep}", {"images": images}), numbers)


def draw_samples(run: Run, device: str, count: int, std: float, seed: int) -> Drawing:
    """Fig. 7b, 7c and 9: `count` images decoded from z ~ N(0, std²·I)."""
    codes, samples = inference.prior_samples(run.load_model(device), count, std, seed)
    return _draw_samples(run, codes, samples, f"N(0, {variance_of(std)}), seed {seed}", f"variance{variance_of(std)}")


def variance_of(std: float) -> str:
    """Return the variance that a standard deviation means, rounded, since squaring a root is not exact."""
    return f"{std**2:.15g}"


def draw_fitted_samples(run: Run, dataset: Dataset, device: str, count: int, prior: Fitted, seed: int) -> Drawing:
    """`count` images decoded from a prior fitted to the training images' codes, which is not the paper's."""
    model = run.load_model(device)
    codes = codes_of_fitted(model, dataset, count, prior, seed)
    samples = inference.in_batches(model.decode, codes, model)
    return _draw_samples(run, codes, samples, f"{DESCRIPTIONS[prior]} fitted to z after training, seed {seed}", prior)


def codes_of_fitted(model: Autoencoder, dataset: Dataset, count: int, prior: Fitted, seed: int) -> Tensor:
    """Return codes (count, d) of a prior fitted to those of the training images. Raises UsageError if they are few."""
    if len(dataset.train) <= COMPONENTS[prior]:
        raise UsageError(f"`prior` {prior} needs more than {COMPONENTS[prior]} training images")
    return sample_fitted_codes(inference.fitted_codes(model, dataset), prior, count, seed)


def _draw_samples(run: Run, codes: Tensor, samples: Tensor, origin: str, stem: str) -> Drawing:
    count = len(samples)
    columns = COLUMNS if count <= 10 * COLUMNS else 2 * COLUMNS
    figure = figures.image_grid(sheet(samples, columns).numpy(), f"{run.label}\nsamples at {origin}")
    files = _save(figure, run, f"samples_{count}_{stem}", {"codes": codes, "samples": samples})
    failing = (~samples.flatten(1).isfinite().all(1)).sum()
    return Drawing(files, {"samples": count, "samples with a non-finite pixel": int(failing)})


def draw_interpolations(run: Run, dataset: Dataset, device: str, pairs: list[tuple[int, int]], stem: str) -> Drawing:
    """Fig. 7d and 8: for each pair of test images, the decoded points of the straight line between their codes."""
    model = run.load_model(device)
    size, indices = len(dataset.test), torch.tensor(pairs)
    for index in {index for pair in pairs for index in pair}:
        if not 0 <= index < size:
            raise UsageError(f"test index {index} does not exist; the test set has images 0 to {size - 1}")
    ends = inference.encode_pairs(model, dataset.test, indices)
    codes, images = inference.interpolate(model, ends, torch.linspace(0, 1, COLUMNS))
    figure = figures.image_grid(images.numpy(), f"{run.label}\nlinear interpolation of z between two test images")
    return Drawing(_save(figure, run, stem, {"indices": indices, "codes": codes, "images": images}))


def spread_of_codes(std: float | None, variance: float | None, prior: Prior = "normal") -> float:
    """Return the standard deviation of z that `std` or `variance` means; 1 without either."""
    if prior != "normal" and (std, variance) != (None, None):
        raise UsageError(f"`prior` {prior} sets the spread of the codes; leave out `std` and `variance`")
    if std is not None and variance is not None:
        raise UsageError("`std` and `variance` say the same thing twice; give one of them")
    for name, value in (("std", std), ("variance", variance)):
        if value is not None and not 0 <= value <= LARGEST_SPREAD:
            raise UsageError(f"`{name}` must lie between 0 and {LARGEST_SPREAD:g}, got {value}")
    if variance is not None:
        return math.sqrt(variance)
    return 1.0 if std is None else std


def draw_umap(run: Run, dataset: Dataset, device: str, seed: int) -> Drawing:
    """Fig. 7e: the codes of all test images in UMAP's plane, coloured by class, with the measures of separation."""
    model = run.load_model(device)
    codes = inference.in_batches(model.encode, dataset.test, model)
    plane, labels, classes = umap_plane(codes, seed), dataset.test.labels, dataset.classes
    columns: dict[str, Any] = {"umap_1": plane[:, 0], "umap_2": plane[:, 1]}
    numbers = {"trustworthiness of the plane": trustworthiness(codes, plane)}
    if labels is not None and classes is not None:
        columns[figures.kind_of(classes)] = [classes[label] for label in labels]
        for space, points in (("z", codes), ("the plane", plane)):
            numbers[f"5-NN accuracy in {space} (cross-validated)"] = cross_validated_knn_accuracy(points, labels)
            numbers[f"silhouette of the {figures.kinds_of(classes)} in {space}"] = silhouette(points, labels)
    title = f"{run.label}\nUMAP of z of {len(codes):,} test images"
    figure = figures.embedding(plane.numpy(), None if labels is None else labels.numpy(), title, classes)
    files = _save(figure, run, "umap", {"codes": codes, "plane": plane})
    with _figures_of(run) as folder:
        write_text(folder / "umap.csv", pd.DataFrame(columns).to_csv(index=False, lineterminator="\n"))
    return Drawing([*files, run.figures / "umap.csv"], numbers)


def _save(figure: Figure, run: Run, name: str, data: dict[str, Tensor]) -> list[Path]:
    """Write a figure of the run and the tensors behind it; return the paths."""
    arrays = {key: tensor.numpy() for key, tensor in data.items()}
    with _figures_of(run) as folder:
        return [*figures.save(figure, folder / name), figures.save_data(folder / name, **arrays)]


@contextmanager
def _figures_of(run: Run) -> Iterator[Path]:
    """Make the folder of the run's figures, for the block to write into. Raises FolderError if that fails."""
    with advising("figures_dir"):
        try:
            run.figures.mkdir(exist_ok=True, parents=run.figures_folder is not None)
            yield run.figures
        except OSError as error:
            raise FolderError(f"cannot write into {run.figures}: {error.strerror or error}; ") from error


def pair_rows(originals: Tensor, reconstructions: Tensor) -> Tensor:
    """Return rows of originals, each above the row of their reconstructions (Fig. 7a)."""
    return torch.stack([sheet(originals), sheet(reconstructions)], dim=1).flatten(0, 1)


def sheet(images: Tensor, columns: int = COLUMNS) -> Tensor:
    """Return images (N, C, H, W) as rows (N / columns, columns, C, H, W), with the last row filled up with black."""
    missing = -len(images) % columns
    return torch.cat([images, images.new_zeros(missing, *images.shape[1:])]).unflatten(0, (-1, columns))
