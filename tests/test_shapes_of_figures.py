"""Figures of images of any shape, and of any number of classes with any names."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from pie_cli.plots import figures

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 20, 60), (4, 96, 32)]


def sheet(rows: int, columns: int, shape: tuple[int, int, int]) -> figures.Array:
    return np.random.default_rng(0).random((rows, columns, *shape), dtype=np.float32)


def saved(figure: Figure, folder: Path) -> tuple[int, int]:
    """Return the width and height of the PNG, in pixels; nothing may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, png = figures.save(figure, folder / "figure")
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    return width, height


@pytest.mark.parametrize("shape", [*SHAPES, pytest.param((3, 256, 256), marks=pytest.mark.slow)])
def test_every_figure_of_images_of_any_shape(shape: tuple[int, int, int], tmp_path: Path) -> None:
    grid = figures.image_grid(sheet(4, 10, shape), "title", ["a", "b", "c", "d"])
    assert saved(grid, tmp_path)[1] < 1000
    panels = figures.panels([sheet(20, 10, shape)] * 3, ["1", "2", "3"])
    saved(panels, tmp_path)
    column = {name: sheet(4, 10, shape) for name in ("reconstructions", "samples", "narrow", "interpolations")}
    plane = {"plane": np.random.default_rng(0).random((50, 2), dtype=np.float32)}
    page = figures.figure_7([column | plane] * 3, None, ["1", "2", "3"], None)
    saved(page, tmp_path)
    strips = [sheet(1, 12, shape)[0]] * 2
    saved(figures.sharpness([np.arange(9.0, dtype=np.float32)] * 2, strips, ["true", "PIE"], "title"), tmp_path)
    if shape == (1, 28, 28):
        assert grid.get_size_inches().tolist() == [10 * 0.42 + 1.5 + 0.1, 4 * 0.42 + 0.5 + 0.1]
        assert panels.get_size_inches().tolist() == [3 * (10 * 0.42 * 0.8 + 0.2), 20 * 0.42 * 0.8 + 0.5]
        assert page.get_size_inches().tolist() == [3.4 * 3 + 0.6, 9.0]


def test_larger_images_get_more_room_and_long_ones_their_shape() -> None:
    small, middle, large, huge = (figures.inches_of(sheet(1, 1, (1, n, n)))[0] for n in (8, 64, 256, 1024))
    assert small == figures.INCHES_PER_IMAGE < middle < large < huge <= 3 * small
    wide, high = figures.inches_of(sheet(1, 1, (1, 20, 60)))
    assert wide == pytest.approx(3 * high)
    assert figures.inches_of(np.zeros((1000, 1, 1, 512, 512), np.float32))[1] * 1000 * 150 < 2**16


@pytest.mark.parametrize("count", [2, 10, 11, 20, 21, 130])
def test_any_number_of_classes(count: int, tmp_path: Path) -> None:
    labels = np.arange(300) % count
    points = torch.rand(300, 2).numpy()
    names = [f"class {label}" for label in range(count)]
    figure = figures.embedding(points, labels, "title", names)
    (axes,) = figure.axes
    colours = [np.asarray(dots.get_facecolor())[0] for dots in axes.collections]
    assert len(np.unique(colours, axis=0)) == count
    legend = axes.get_legend()
    assert (legend is not None) == (count <= 20)
    told = f"title\n{count} classes, coloured in their order from violet to red"
    assert axes.get_title() == ("title" if legend else told)
    if legend:
        assert [text.get_text() for text in legend.get_texts()] == names
    saved(figure, tmp_path)


def test_names_of_classes_are_shown_as_they_are(tmp_path: Path) -> None:
    """In any script, long ones shortened, and neither read as a formula nor left out."""
    names = ["$\\frac$", "_hidden", "Кошка", "猫", "a very long name of a class", "100 %", "a_b", "x^2$", "", "ok"]
    labels = np.arange(100) % 10
    figure = figures.embedding(torch.rand(100, 2).numpy(), labels, "a $title", names)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[:6] == ["$\\frac$", " _hidden", "Кошка", "猫", "a very long name of…", "100 %"]
    saved(figure, tmp_path)
