"""`python -m bench.compression`: compressed files against picture formats and general compressors, on MNIST.

Everything is measured on the test images, in a random order, in one run. The bytes count everything but the model.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.codecs import Point, lossless, lossy, pca
from bench.report import machine, table
from bench.run import options_from, run_as_command
from pie_cli.codec.compress import compress, decompress
from pie_cli.codec.container import Container, Header
from pie_cli.codec.fitting import fit_tables
from pie_cli.codec.levels import FINEST, pie_of
from pie_cli.data.load import load_dataset
from pie_cli.io.files import write_atomically, write_text
from pie_cli.models.pie import PIE
from pie_cli.runs.find import load_showcase
from pie_cli.runs.folder import load_model

matplotlib.use("Agg")

SHEETS = 500  # images that picture formats are measured on
OTHERWISE = 500  # images that are decoded in other ways
PUBLISHED = {"BB-ANS, published": 1.41, "Bit-Swap, published": 1.29}  # bits a pixel, of all 10,000 test images


@dataclass(frozen=True)
class Lossless:
    """A lossless file: its header, and how many images one core writes and reads in a second, by its CPU time."""

    header: Header
    written: float
    read: float

    @property
    def bits(self) -> float:
        """Bits a pixel value, everything counted but the model."""
        return 8 * self.header.size / (self.header.count * int(np.prod(self.header.shape)))


def measure(model: PIE, images: Tensor, keep: int) -> Lossless:
    """Write and read a lossless file with some levels, and check every pixel."""
    start = time.process_time()
    content = compress(model, images, keep)
    middle = time.process_time()
    undone = decompress(content, model)
    end = time.process_time()
    assert torch.equal(undone, images)
    count = len(images)
    return Lossless(Container.parse(content).header, count / (middle - start), count / (end - middle))


def curve(model: PIE, images: Tensor) -> list[Point]:
    """Return our points: every number of levels at every fineness."""
    found = []
    for fineness in range(FINEST + 1):
        content = compress(model, images, lossless=False, fineness=fineness)
        container = Container.parse(content)
        for keep, layer in enumerate(container.header.layers):
            size = len(container.reduced(keep)) / len(images)
            found.append(Point("PIE", size, layer.mse))
    return found


def z_alone(model: PIE, known: Tensor, images: Tensor) -> Point:
    """Return the point of z alone, with tables fitted on `known`; what only the exact layer needs is not fitted."""
    tables = fit_tables(model, known, training_steps=1)
    header = Container.parse(compress(model, images, 0, lossless=False, tables=tables)).header
    return Point("PIE, warm", header.layers[0].length / header.count, header.layers[0].mse)


def otherwise(model: PIE, images: Tensor) -> dict[str, bool]:
    """Return whether the pixels are exact if the file is decoded in other ways than it was written."""
    content, found = compress(model, images, 0), {}
    found["in float64"] = torch.equal(decompress(content, copy.deepcopy(model).double()), images)
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    found[f"on {torch.get_num_threads()} threads"] = torch.equal(decompress(content, model), images)
    torch.set_num_threads(threads)
    compiled = copy.deepcopy(model)
    compiled.decode = torch.compile(compiled.decode)  # type: ignore[method-assign]
    found["by a compiled model"] = torch.equal(decompress(content, compiled), images)
    return found


def from_start(image: NDArray[np.uint8], repeats: int) -> tuple[float, float]:
    """Return the least seconds that `pie compress` and `pie decompress` take for one picture, the start included."""
    seconds: dict[str, list[float]] = {"compress": [], "decompress": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            Image.fromarray(image).save(Path(folder) / "one.png")
            for arguments in (["compress", "one.png", "-o", "one.pie"], ["decompress", "one.pie"]):
                command, start = [sys.executable, "-m", "pie_cli", *arguments], time.perf_counter()
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                seconds[arguments[0]].append(time.perf_counter() - start)
    return min(seconds["compress"]), min(seconds["decompress"])


def best(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other of theirs is better than, the smallest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.bytes, one.mse)):
        if not kept or point.mse < kept[-1].mse:
            kept.append(point)
    return kept


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw bytes against MSE, both logarithmic."""
    _, axes = plt.subplots(figsize=(7.2, 5))
    for name in dict.fromkeys(point.name for point in points):
        own = best([point for point in points if point.name == name])
        style = {"lw": 2.5, "color": "black", "zorder": 3} if name == "PIE" else {"lw": 1}
        dashed = "--" if "sheet" in name else "-"
        axes.plot([one.bytes for one in own], [one.mse for one in own], dashed, marker=".", label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel="bytes an image", ylabel="MSE, pixels in [0, 1]", ylim=(1e-4, 0.1))
    axes.legend(frameon=False, fontsize=8, ncols=2)
    axes.grid(alpha=0.3)
    write_atomically(path, lambda temporary: plt.savefig(temporary, dpi=150, bbox_inches="tight"))
    plt.close()


def draw_digits(model: PIE, images: Tensor, labels: Tensor, header: Header, path: Path) -> None:
    """Draw the first image of each class as every layer of a lossless file decodes it, with the bytes up to there."""
    some = images[torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()])]
    content = compress(model, some)
    sizes = np.cumsum([layer.length for layer in header.layers]) / header.count
    decoded = [decompress(content, model, keep) for keep in range(header.keep + 1)]
    _, rows = plt.subplots(len(sizes), 1, figsize=(6, 3.9))
    for number, (axes, row) in enumerate(zip(rows, [*decoded, decompress(content, model)], strict=True)):
        axes.imshow(torch.cat(list(row[:, 0]), 1), cmap="gray", vmin=0, vmax=255)
        label = f"{header.layer_name(number)}, {sizes[number]:.1f} bytes"
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
    write_atomically(path, lambda temporary: plt.savefig(temporary, dpi=150, bbox_inches="tight"))
    plt.close()


def bounds(files: dict[int, Lossless], exact: dict[str, bool], one: tuple[float, float], warm: Point | None) -> str:
    """Return the table of what was asked for, and what was measured."""
    first, second = files[0].header, files[1].header.layers
    z, level = first.layers[0], second[1]
    of_z = z.length / first.count
    both = of_z + level.length / first.count
    rates = [min(file.written for file in files.values()), min(file.read for file in files.values())]
    rows = [
        ["lossless, z and the exact layer, bits a pixel", f"{files[0].bits:.4f}", "≤ 1.25", "≤ 1.12"],
        ["lossless, z, one level and the exact layer", f"{files[1].bits:.4f}", "≤ 1.30", "≤ 1.20"],
        ["z alone, bytes an image / MSE", f"{of_z:.2f} / {z.mse:.4f}", "≤ 6 / ≤ .018", "–"],
        [
            "the same of a run of the recipe warm",
            f"{warm.bytes:.2f} / {warm.mse:.4f}" if warm else "–",
            "–",
            "≤ 6 / ≤ .0135",
        ],
        ["z and one level", f"{both:.2f} / {level.mse:.5f}", "≤ 20 / ≤ .0055", "≤ 17 / ≤ .0045"],
        ["compress, images a second of one core", f"{rates[0]:.0f}", "≥ 300", "≥ 1,000"],
        ["decompress, images a second of one core", f"{rates[1]:.0f}", "≥ 300", "≥ 1,000"],
        ["one image from process start, seconds", f"{one[0]:.1f}, {one[1]:.1f}", "≤ 4", "≤ 2"],
        [f"exact, of {first.count:,} images", "all", "all", "all"],
        *([f"exact, decoded {how}", "all" if fine else "NOT all", "all", "all"] for how, fine in exact.items()),
    ]
    return table(["", "measured", "must", "aim"], rows)


def main() -> None:
    """Measure everything, and write the page and the picture."""
    options = options_from(
        __doc__, Path("bench/COMPRESSION.md"), repeats=3, warm="a trained run of the recipe warm, for its row"
    )
    data = load_dataset("mnist", report=lambda line: None)
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))
    images, model = data.test.images[order], pie_of(load_showcase())
    grey = images[:, 0].numpy()
    keeps = (0, 1, len(model.residual_sizes))
    files = {keep: measure(model, images, keep) for keep in keeps}
    warm = z_alone(pie_of(load_model(options.warm)), data.train.images, images) if options.warm else None
    one = from_start(grey[0], options.repeats)
    exact = otherwise(model, images[:OTHERWISE])
    points = [*curve(model, images), *lossy(grey[:SHEETS]), *pca(data.train.images[:, 0].numpy(), grey)]
    bits = {f"PIE, z, {keep} levels, exact": file.bits for keep, file in files.items()} | PUBLISHED
    bits |= lossless(grey[:SHEETS])
    labels = data.test.labels
    assert labels is not None
    digits = options.output.with_name(f"{options.output.stem}-digits.png")
    draw_digits(model, images, labels[order], files[keeps[-1]].header, digits)
    draw(points, options.output.with_suffix(".png"))
    rows = [[name, f"{value:.3f}"] for name, value in sorted(bits.items(), key=lambda item: item[1])]
    curves = [
        [name, "; ".join(f"{p.bytes:.1f}: {p.mse:.5f}" for p in best([q for q in points if q.name == name]))]
        for name in dict.fromkeys(point.name for point in points)
    ]
    page = [
        "# Compressed files: the record",
        f"Written by `{options.command}`. The program's own run, on MNIST's 10,000 test images in a random order. "
        f"Picture formats and general compressors have the first {SHEETS:,} of them. The files are described in "
        "[Compressed files](../docs/FORMAT.md).",
        machine(options.device),
        "## Bounds",
        bounds(files, exact, one, warm),
        "## What each layer of a lossless file decodes",
        f"![Ten digits, decoded from z and more and more levels, with the bytes of an image]({digits.name})",
        "## Lossless, bits a pixel",
        table(["", "bits a pixel"], rows),
        "A sheet is one picture of all images. Published figures are of models trained for this alone.",
        "## Bytes against error",
        "![Bytes an image against MSE, logarithmic](COMPRESSION.png)",
        "Bytes an image: MSE. A point is left out if another of its row is better in both.",
        table(["", "bytes: MSE"], curves),
    ]
    write_text(options.output, "\n\n".join(page) + "\n")


if __name__ == "__main__":
    run_as_command(main)
