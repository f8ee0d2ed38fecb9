"""Drawing only: each function takes arrays and returns a figure; `save` writes it, and `save_data` writes its data."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pie_cli.data.digits import DIGITS
from pie_cli.io.files import write_bytes

Array = NDArray[np.float32]

INCHES_PER_IMAGE = 0.42  # of at most SMALL pixels; larger ones get more, up to LARGEST times as much
SMALL, LARGEST = 32, 3.0
TALLEST = 420.0  # inches of a sheet: PNGs have no more pixels
NAMED = 20  # classes that a legend names
LONGEST = 20  # characters of a class's name there

# Text stays text in PDFs, and a name with a dollar sign is no formula.
STYLE = {"pdf.fonttype": 42, "savefig.dpi": 150, "font.size": 9, "text.parse_math": False}
# Of names in scripts that matplotlib's own font lacks, where one of these is installed.
FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Microsoft YaHei", "PingFang SC", "Hiragino Sans"),
    *("Yu Gothic", "Malgun Gothic", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Arial Unicode MS"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Arabic", "Noto Sans Hebrew"),
)

P = ParamSpec("P")
R = TypeVar("R")


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in matplotlib's own style and `STYLE`, whatever the user has configured.

    A file has nothing random and no date in it: the same data give the same bytes.
    """

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        installed = [name for name in FONTS if name in fontManager.get_font_names()]
        fonts = {"font.family": ["DejaVu Sans", *installed]} if installed else {}
        with matplotlib.style.context(["default", STYLE, fonts]):
            return draw(*args, **kwargs)

    return styled


@_styled
def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `figure` as stem.pdf and stem.png; return the two paths."""
    paths = []
    for kind, dated in (("pdf", "CreationDate"), ("png", "Software")):
        buffer = BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing")  # a box stands for it
            figure.savefig(buffer, format=kind, metadata={dated: None})
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        write_bytes(paths[-1], buffer.getvalue())
    return paths


def save_data(stem: Path, **arrays: NDArray[np.generic]) -> Path:
    """Write the arrays behind a figure as stem.npz; return its path."""
    path = stem.with_name(f"{stem.name}.npz")
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())
    return path


def draw_images(axes: Axes, images: Array) -> None:
    """Show images (rows, columns, C, H, W) in [0, 1] as one picture, clipped to what a screen can show."""
    rows, columns, channels, height, width = images.shape
    tiles = images.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels).clip(0, 1)
    picture = tiles[:, :, :3] if channels >= 3 else tiles.mean(2)
    how = "nearest" if max(height, width) <= SMALL else "auto"  # which smooths what has more pixels than the figure
    axes.imshow(np.nan_to_num(picture), cmap="gray", vmin=0, vmax=1, interpolation=how)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def inches_of(images: Array) -> tuple[float, float]:
    """Return the width and height of each image of a sheet (rows, columns, C, H, W)."""
    rows, _, _, height, width = images.shape
    side = max(height, width)
    longer = INCHES_PER_IMAGE * min(LARGEST, max(1.0, (side / SMALL) ** 0.5))
    longer = min(longer, max(INCHES_PER_IMAGE, TALLEST / rows))
    return longer * (width / side), longer * (height / side)


@_styled
def image_grid(images: Array, title: str, labels: Sequence[str] = ()) -> Figure:
    """Return a sheet of images (rows, columns, C, H, W), with a label at the left of each row if there are labels."""
    rows, columns, _, height, _ = images.shape
    wide, high = inches_of(images)
    margin, head, edge = (1.5 if labels else 0.1), 0.5, 0.1  # inches beside, above and around the images
    width = max(columns * wide + margin + edge, 4.0)  # a title needs some room
    tall = rows * high + head + edge
    figure = Figure(figsize=(width, tall))
    axes = figure.add_axes((margin / width, edge / tall, 1 - (margin + edge) / width, 1 - (head + edge) / tall))
    axes.set_anchor("NW")
    draw_images(axes, images)
    figure.text(edge / width, 1 - edge / tall, title, fontsize=8, va="top")
    if labels:
        axes.set_yticks([(row + 0.5) * height for row in range(rows)], labels, fontsize=7)
        axes.tick_params(length=0)
    return figure


def kind_of(classes: Sequence[str] | None) -> str:
    """Return what each of the classes is called."""
    return "digit" if classes is not None and tuple(classes) == DIGITS else "class"


def kinds_of(classes: Sequence[str] | None) -> str:
    """Return what all of the classes are called."""
    return {"digit": "digits", "class": "classes"}[kind_of(classes)]


def draw_embedding(axes: Axes, points: Array, labels: NDArray[np.int64] | None, classes: Sequence[str] | None) -> None:
    """Show points (N, 2) coloured by class; `classes` are the names of the labels 0, 1, … Without: in one colour."""
    known = np.zeros(len(points), np.int64) if labels is None or classes is None else labels
    colours = colours_of(len(classes or "1"))
    for label in np.unique(known):
        x, y = points[known == label].T
        name = short(classes[label]) if classes else None
        axes.scatter(x, y, s=2, color=colours[label], label=name, linewidths=0, rasterized=True)
    axes.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")


def colours_of(count: int) -> list[tuple[float, float, float, float]]:
    """Return a colour for each class: of more than `NAMED`, neighbours are hard to tell apart."""
    if count > NAMED:
        return [mpl.colormaps["turbo"](label / (count - 1)) for label in range(count)]
    return [mpl.colormaps["tab10" if count <= 10 else "tab20"](label) for label in range(count)]


def short(name: str) -> str:
    """Return the name of a class as a legend shows it, which would leave out one that begins with an underscore."""
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return f" {name}" if name.startswith("_") else name


def draw_legend(axes: Axes, classes: Sequence[str] | None, markerscale: float, fontsize: float | None = None) -> None:
    """Name the colours of `draw_embedding` at the right of it; of many classes, say above it how they are coloured."""
    if classes is not None and len(classes) > NAMED:
        line = f"{len(classes)} classes, coloured in their order from violet to red"
        axes.set_title(f"{axes.get_title()}\n{line}".strip(), fontsize=fontsize or 9)
    elif classes is not None:
        look = {"markerscale": markerscale, "fontsize": fontsize, "frameon": False}
        axes.legend(title=kind_of(classes), loc="center left", bbox_to_anchor=(1, 0.5), **look)


@_styled
def embedding(
    points: Array, labels: NDArray[np.int64] | None, title: str, classes: Sequence[str] | None = DIGITS
) -> Figure:
    """Return the scatter plot of points (N, 2) with a legend of the classes, if there are any (Fig. 7e)."""
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    draw_embedding(axes, points, labels, classes)
    axes.set_title(title, fontsize=9)
    draw_legend(axes, classes, markerscale=5)
    return figure


@_styled
def learning_curve(history: pd.DataFrame, title: str) -> Figure:
    """Return loss and z-only reconstruction MSE by epoch, from the columns of metrics.csv."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for column, label in (("train_loss", "training"), ("val_loss", "validation")):
        left.plot(history["epoch"], history[column], "o-", label=label, markersize=3)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="epoch", ylabel="loss per pixel value")
    left.legend(frameon=False)
    right.plot(history["epoch"], history["val_mse"], "o-", color="tab:green", markersize=3)
    right.set(xlabel="epoch", ylabel="validation MSE from z alone", ylim=(0, None))
    figure.suptitle(title, fontsize=9)
    return figure


@_styled
def sharpness(values: Sequence[Array], strips: Sequence[Array], names: Sequence[str], title: str) -> Figure:
    """Return the distribution of per-image sharpness of each row of Table 1, beside a strip of its images."""
    height = 0.7 * len(names)  # inches, the same for both halves, so that each strip stands beside its distribution
    strip = height / len(names) * len(strips[0]) * (strips[0].shape[-1] / strips[0].shape[-2])
    figure = Figure(figsize=(4.5 + strip, height + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, strip))
    positions = range(len(names), 0, -1)
    finite = [(row[np.isfinite(row)], position) for row, position in zip(values, positions, strict=True)]
    rows, places = zip(*[(row, position) for row, position in finite if len(row)], strict=True)
    parts = left.violinplot(rows, places, orientation="horizontal", showmeans=True)
    for body in parts["bodies"]:
        body.set_alpha(0.6)
    left.set_yticks(list(positions), names)
    left.set(xlabel="sharpness of an image (Laplacian variance)", xlim=(0, None))
    true = float(np.mean(values[0]))
    left.axvline(true, color="black", linewidth=0.8, linestyle=":", label="mean of the true images")
    left.legend(frameon=False, fontsize=7)
    left.set_title(title, fontsize=8)
    draw_images(right, np.stack(strips))
    right.set_title("the first images of each", fontsize=8)
    return figure


@_styled
def figure_7(
    columns: Sequence[Mapping[str, Array]],
    labels: NDArray[np.int64] | None,
    titles: Sequence[str],
    classes: Sequence[str] | None = DIGITS,
) -> Figure:
    """Return the page of Fig. 7: rows (a) to (e), one column per run.

    A column has "reconstructions", "samples", "narrow" and "interpolations" as (rows, columns, C, H, W) images, and a
    "plane" (N, 2), whose points have the `labels`; `classes` are their names. Without classes both are None.
    """
    rows = {
        "reconstructions": "(a) test images above\nreconstructions",
        "samples": "(b) samples at N(0, 1)",
        "narrow": "(c) samples at N(0, 0.5)",
        "interpolations": "(d) linear interpolation",
    }
    wide, high = inches_of(columns[0]["samples"])
    grown, aspect = max(wide, high) / INCHES_PER_IMAGE, high / wide
    size = (3.4 * grown * len(columns) + 0.6, 9.0 * grown * ((4 * aspect + 2.2) / 6.2))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(5, len(columns), squeeze=False, height_ratios=(*[aspect] * 4, 2.2))
    for column, (data, title) in enumerate(zip(columns, titles, strict=True)):
        for row, (name, label) in enumerate(rows.items()):
            draw_images(axes[row, column], data[name])
            if column == 0:
                axes[row, column].set_ylabel(label, fontsize=8)
        draw_embedding(axes[4, column], data["plane"], labels, classes)
        axes[0, column].set_title(title, fontsize=9)
    axes[4, 0].set_ylabel("(e) UMAP of z of the test images\nUMAP 2", fontsize=8)
    draw_legend(axes[4, -1], classes, markerscale=4, fontsize=7)
    return figure


@_styled
def panels(images: Sequence[Array], titles: Sequence[str]) -> Figure:
    """Return sheets of images side by side, each with a title (Fig. 8)."""
    rows, columns = images[0].shape[:2]
    wide, high = inches_of(images[0])
    width = columns * wide * 0.8
    figure = Figure(figsize=(len(images) * (width + 0.2), rows * high * 0.8 + 0.5), layout="constrained")
    for axes, sheet, title in zip(figure.subplots(1, len(images), squeeze=False)[0], images, titles, strict=True):
        draw_images(axes, sheet)
        axes.set_title(title, fontsize=9)
    return figure
