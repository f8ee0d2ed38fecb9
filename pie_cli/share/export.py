"""`pie export`: a trained model in a form that other tools load, written into a folder that appears whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pie_cli.errors import UsageError, advising
from pie_cli.io.files import check_vacant, write_folder
from pie_cli.models.base import Autoencoder
from pie_cli.runs.folder import Run
from pie_cli.share.export_parts import Computed, Part, largest_difference, parts_of
from pie_cli.share.export_readme import SUFFIXES, about_graphs
from pie_cli.share.hub import as_repository

Target = Literal["onnx", "torch", "hub"]


@dataclass(frozen=True)
class Exported:
    """What was written: the files, and how far their results are from the model's; None if the weights are the same."""

    files: list[Path]
    difference: float | None


def check(to: Target, folder: Path, licence: str | None) -> None:
    """Raise UsageError if nothing can be exported there, or so: before anything is computed."""
    check_vacant(folder, "output")
    if licence is not None and to != "hub":
        raise UsageError(f"`licence` is for `to` hub, whose card states it; leave it out with `to` {to}")
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise UsageError(f"`licence` {licence!r} is not as the Hub writes them, such as mit or cc-by-4.0")
    if to == "onnx":
        from pie_cli.share.export_onnx import check_installed

        check_installed()


def export(run: Run, to: Target, folder: Path, licence: str | None = None) -> Exported:
    """Write a run's model into `folder`, which must be missing or empty, and return what was written.

    Arguments:
        run: a finished run.
        to: "onnx" and "torch" make a graph of each part of the model (`export_parts`) and compare its results with the
            model's; "hub" makes the files of a repository (`hub`).
        folder: where to.
        licence: of the weights, as a model hub spells it; None states none.

    Raises UsageError as `check` does, PIEError if the run is damaged or the results of a graph differ by more than
    `export_parts.TOLERANCE`, FolderError if the folder cannot be written. Nothing is left behind then.
    """
    check(to, folder, licence)
    model = run.load_model().requires_grad_(False)
    difference: float | None = None
    if to == "hub":
        files = as_repository(run, model, licence)
    else:
        parts, graph = parts_of(model), _graph_for(to)
        files, difference = {}, 0.0
        for part in parts:
            content, compute = graph(part, model)
            difference = max(difference, largest_difference(part, model, compute))
            files[f"{part.name}.{SUFFIXES[to]}"] = content
        files["README.md"] = about_graphs(run, model, parts, to).encode()
    _write(folder, files)
    return Exported([folder / name for name in sorted(files)], difference)


def _graph_for(to: Literal["onnx", "torch"]) -> Callable[[Part, Autoencoder], tuple[bytes, Computed]]:
    """Return what makes the file of a part, and what computes from that file what the part does."""
    if to == "onnx":
        from pie_cli.share import export_onnx

        return export_onnx.graph
    from pie_cli.share import export_torch

    return export_torch.graph


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    def write(temporary: Path) -> None:
        for name, content in files.items():
            (temporary / name).write_bytes(content)

    with advising("output"):
        write_folder(folder, write)
