"""Draw the pictures of How it works into docs/pictures: `python docs/pictures.py`, after a change of what they show.

They are kept in the repository, so that the page has them on GitHub too. Every number comes from the program, from the
shipped model or from the tables of the studies.
"""

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits
from torch.nn import functional as F

from pie_cli import PIEConfig, load_showcase
from pie_cli.models.couplings import ContractiveScale, affine_scale

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
BLUE, ORANGE, GREY = "#2a6fbb", "#d9822b", "#8a8a8a"


def levels() -> None:
    """How many numbers go on from block to block, and how many stay behind as residuals."""
    config = PIEConfig()
    sizes, kinds = config.sizes, ["conv"] * config.halvings
    kinds += ["linear"] * (len(sizes) - 1 - len(kinds))
    _, axes = plt.subplots(figsize=(6.6, 3.2))
    for at, size in enumerate(sizes):
        height = 2.4 * (size / sizes[0]) ** 0.5  # by its root: 10 of 784 would not be seen
        axes.add_patch(Rectangle((2 * at - 0.25, -height / 2), 0.5, height, color=BLUE))
        name = "x\n" if at == 0 else "z\n" if at == len(sizes) - 1 else ""
        axes.text(2 * at, height / 2 + 0.1, f"{name}{size}", ha="center", va="bottom", fontsize=13, color=BLUE)
    for at, (before, after) in enumerate(pairwise(sizes)):
        arrow = {"arrowstyle": "<->", "color": "black", "lw": 1.2}
        axes.annotate("", (2 * at + 1.72, 0), (2 * at + 0.28, 0), arrowprops=arrow)
        axes.text(2 * at + 1, 0.1, kinds[at], ha="center", fontsize=11)
        if before > after:
            axes.annotate("", (2 * at + 1, -1.45), (2 * at + 1, 0), arrowprops=arrow | {"color": ORANGE})
            residual = f"$r_{at + 1}$\n{before - after}"
            axes.text(2 * at + 1, -1.55, residual, ha="center", va="top", fontsize=13, color=ORANGE)
    axes.set(xlim=(-0.6, 2 * len(sizes) - 1.4), ylim=(-2.2, 2.0))
    axes.axis("off")
    save("levels.svg")


def kept() -> None:
    """Images decoded from z alone, and with the residuals of one level after the other."""
    small = torch.tensor(load_digits().images[:8], dtype=torch.float32).unsqueeze(1) / 16
    images = F.pad(F.interpolate(small, size=(20, 20), mode="bicubic"), (4,) * 4).clamp(0, 1)
    model = load_showcase()
    with torch.no_grad():
        z, residuals, _ = model(images)
        decoded = [model.decode(z, residuals, keep=keep) for keep in range(len(residuals) + 1)]
    sizes = np.cumsum([model.latent_dim, *reversed(model.residual_sizes)])
    names = ["image", *(f"from {size} numbers" for size in sizes)]
    _, rows = plt.subplots(len(names), 1, figsize=(4.4, 3.9))
    for axes, name, row in zip(rows, names, [images, *decoded], strict=True):
        axes.imshow(torch.cat(list(row[:, 0]), dim=1), cmap="gray", vmin=0, vmax=1)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
        axes.set(xticks=[], yticks=[])
    save("kept.png")


def scale() -> None:
    """What a coupling may scale by."""
    axes, t = panel("t, output of the network", "scale s"), torch.linspace(-6, 6, 200)
    axes.plot(t, affine_scale(t), color=ORANGE, label="affine")
    axes.axhline(1, color=GREY, label="additive")
    axes.plot(t, ContractiveScale(0.5)(t), color=BLUE, label="contractive")
    finish("scale.svg", axes)


def reached() -> None:
    """What a training reaches that lets its couplings scale so."""
    axes = panel("epoch", "MSE from z alone")
    table = pd.read_csv(ROOT / "studies" / "results" / "scale.csv").set_index("options")
    trainings = {
        "affine, no noise, not annealed": ("--scale affine --noise 0 --anneal 0 --epochs 3", "--", ORANGE),
        "affine": ("--scale affine --epochs 3", "-", ORANGE),
        "contractive, no noise": ("--noise 0 --epochs 3", "--", BLUE),
        "contractive (default)": ("--epochs 3", "-", BLUE),
    }
    for name, (options, style, colour) in trainings.items():
        errors = [float(error) for error in table.loc[options, "mse_by_epoch"].split()]
        axes.plot(range(1, len(errors) + 1), errors, style, marker="o", color=colour, label=name)
    axes.set(xticks=[1, 2, 3], ylim=(0, None))
    finish("reached.svg", axes)


def calibration() -> None:
    """How the residuals of the shipped model came down to the size that the likelihood expects."""
    rows = pd.read_csv(ROOT / "results" / "showcase" / "metrics.csv")
    axes = panel("epoch", "mean squared residual / ε₀²")
    for level in range(1, len(PIEConfig().residual_sizes) + 1):
        axes.plot(rows["epoch"], rows[f"val_r{level}_over_eps2"], marker=".", label=f"level {level}")
    axes.axhline(1, color=GREY, lw=1, ls="--")
    axes.set(ylim=(0, None))
    finish("calibration.svg", axes)


def reconstruction() -> None:
    """How its reconstructions from z alone improved in the same epochs."""
    rows = pd.read_csv(ROOT / "results" / "showcase" / "metrics.csv")
    axes = panel("epoch", "MSE from z alone")
    axes.plot(rows["epoch"], rows["val_mse"], marker=".", color=BLUE, label="validation images")
    axes.set(ylim=(0, None))
    finish("reconstruction.svg", axes)


def panel(x: str, y: str) -> Axes:
    """Return axes so small that two stand side by side on a page, and one below the other on a telephone."""
    axes = plt.figure(figsize=(3.6, 3)).add_subplot(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def finish(name: str, axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=9)
    save(name)


def save(name: str) -> None:
    metadata = {"Date": None} if name.endswith("svg") else None
    plt.savefig(PICTURES / name, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close()


if __name__ == "__main__":
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "pie"  # the same bytes every time
    PICTURES.mkdir(exist_ok=True)
    for draw in (levels, kept, scale, reached, calibration, reconstruction):
        draw()
