"""Compressed files on the disk: which model they need, what is in them, and what can be made of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from pie_cli.codec.coder import Damaged
from pie_cli.codec.compress import decode
from pie_cli.codec.container import MAGIC, Container, Header
from pie_cli.codec.levels import pie_of
from pie_cli.codec.pictures import Pictures
from pie_cli.codec.tables import load_tables, tables_of
from pie_cli.errors import PIEError, UsageError, advising
from pie_cli.io.files import read_bytes, write_bytes
from pie_cli.io.tensors import LARGEST_FILE
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.runs.find import SHOWCASE, finished_run
from pie_cli.runs.folder import CODING, Run


def read_container(path: Path) -> Container:
    """Return a compressed file, perhaps cut. Raises PIEError if it cannot be read or is none."""
    try:
        return Container.parse(read_bytes(path, LARGEST_FILE, MAGIC))
    except OSError as error:
        raise PIEError(f"cannot read {path}: {error.strerror or error}; fix that") from error
    except ValueError as error:
        raise PIEError(f"{path} cannot be decoded: {error}; get a good copy") from error


def load_pie(run: Run, device: str) -> PIE:
    """Return a run's model. Raises UsageError unless it is a PIE."""
    try:
        return pie_of(run.load_model(device))
    except UsageError as error:
        raise UsageError(f"{run.folder}: {error}") from error


def run_of_file(header: Header, folder: Path | None, results_dir: Path) -> Run | None:
    """Return the run whose model a file needs; None if it is neither `folder` nor among those at hand.

    Raises PIEError if `folder` has no tables, or they cannot be read.
    """
    if folder is not None:
        run = finished_run(folder)
        return run if _fingerprint(run) == header.model else None
    for path in [SHOWCASE, *(sorted(results_dir.iterdir()) if results_dir.is_dir() else [])]:
        if (path / CODING).exists() and (path / "config.json").exists():
            try:
                run = finished_run(path)
                if _fingerprint(run) == header.model:
                    return run
            except PIEError:
                continue
    return None


def _fingerprint(run: Run) -> str | None:
    """Return the SHA-256 of a run's weights and tables, as its tables say; None if it is no PIE's."""
    model = run.config.model
    return load_tables(run.folder, model).fingerprint if isinstance(model, PIEConfig) else None


@dataclass(frozen=True)
class Undone:
    """What was decoded of a file: the images, and a line if they are less than it once held."""

    pictures: Pictures
    missing: str


def undo(path: Path, keep: int | None, folder: Path | None, results_dir: Path, device: str) -> Undone:
    """Return the images of a compressed file: the best of what is there of it, or of z and `keep` levels.

    Raises PIEError if it is damaged, or its model is not at hand; UsageError if it has fewer levels.
    """
    container = read_container(path)
    header, complete = container.header, container.complete
    check_keep(keep, header.keep, str(path))
    run = run_of_file(header, folder, results_dir)
    if run is None:
        where = f"is not that of {folder}" if folder else f"is neither the program's own nor in {results_dir}"
        raise PIEError(f"the model of {path}, of SHA-256 {header.model[:12]}…, {where}; name its run with `run`")
    missing = ""
    if complete < len(header.layers) and (keep is None or complete <= keep):
        if not complete:
            raise PIEError(f"{path} is cut within its first layer, so nothing of it can be decoded; get a good copy")
        keep = min(complete - 1, header.keep)
        missing = f"{path} is cut: these are decoded from {_called(keep)}, MSE {header.layers[keep].mse:.4g}"
    try:
        model = load_pie(run, device)
        pixels = decode(container, model, tables_of(model), keep)
    except PIEError as error:
        raise PIEError(f"{path}: {error}; {_advice(container)}") from error
    return Undone(Pictures(pixels.numpy(), header.kind, header.names), missing)


def _called(keep: int) -> str:
    return "z alone" if keep == 0 else f"z and {keep} level{'s' * (keep > 1)}"


def _advice(container: Container) -> str:
    """Return what to do about damage."""
    good = 0
    try:
        for good in range(len(container.header.layers)):
            container.layer(good)
    except Damaged:
        if good:
            return f"get a good copy, or take what is whole with `keep` {good - 1}"
    return "get a good copy"


def describe(path: Path, folder: Path | None, results_dir: Path) -> list[tuple[str, str]]:
    """Return what is in a compressed file, line by line: what it is about, and what it says."""
    container = read_container(path)
    header, complete = container.header, container.complete
    channels, height, width = header.shape
    count = header.count
    run = run_of_file(header, folder, results_dir)
    at_hand = f"in {run.folder}" if run else f"not at hand, neither the program's own nor in {folder or results_dir}"
    lines = [
        ("images", f"{count:,} of {channels}×{height}×{width}, {header.kind}"),
        ("model", f"SHA-256 {header.model}, {at_hand}"),
        ("pixels", f"SHA-256 {header.pixels}"),
        ("lossless", "yes" if header.exact else "no"),
    ]
    for number, layer in enumerate(header.layers):
        state = "" if number < complete else ", cut off"
        try:
            container.layer(number)
        except Damaged:
            state = state or ", damaged"
        sizes = f"{layer.length:,} bytes, {layer.length / count:,.2f} an image"
        lines.append((header.layer_name(number), f"{sizes}; MSE up to here {layer.mse:.4g}{state}"))
    return [*lines, ("whole", size_of(header))]


def reduce_file(path: Path, output: Path, keep: int) -> str:
    """Write a smaller file with z and `keep` levels alone, and return a line about it; nothing is decoded.

    Raises UsageError if there are fewer levels, PIEError if they are damaged, FolderError if it cannot be written.
    """
    check_output(output)
    container = read_container(path)
    check_keep(keep, container.header.keep, str(path))
    try:
        content = container.reduced(keep)
    except Damaged as error:
        raise PIEError(f"{path}: {error}; {_advice(container)}") from error
    write_file(output, content)
    return f"wrote {output}: {size_of(Container.parse(content).header)}"


def size_of(header: Header) -> str:
    """Return how many images a file has, and how large it is, on one line."""
    total, count = header.size, header.count
    bits = 8 * total / (count * prod(header.shape))
    return f"{count:,} images, {total:,} bytes, {total / count:,.2f} an image, {bits:.4f} bits a pixel value"


def check_keep(keep: int | None, levels: int, whose: str) -> None:
    """Raise UsageError if more levels are to be kept than a file or a model has."""
    if keep is not None and keep > levels:
        raise UsageError(f"`keep` {keep}: {whose} has {levels} levels beside z")


def check_output(output: Path) -> None:
    """Raise UsageError if a file is there, or its folder is not."""
    if output.exists():
        raise UsageError(f"{output} exists; remove it, or choose another file with `output`")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent} is no folder; make it, or choose another one with `output`")


def write_file(output: Path, content: bytes) -> None:
    """Write a compressed file. Raises FolderError if that is not possible; nothing is left then."""
    with advising("output"):
        write_bytes(output, content)
