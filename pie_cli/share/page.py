"""One self-contained page of a run: its test images' codes, the model itself, its facts. It opens from the disk."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

from pie_cli.data.base import Dataset, shape_text
from pie_cli.errors import UsageError, advising
from pie_cli.io.files import write_text
from pie_cli.metrics.embedding import FEWEST
from pie_cli.runs.folder import Run
from pie_cli.share.page_data import MEASURED, Shown, data_of, show
from pie_cli.share.page_facts import facts_of
from pie_cli.share.page_html import MODEL_SCRIPTS, as_base64, as_json, rendered
from pie_cli.share.page_weights import packed_weights

PAGE = "page.html"  # the file's name, where nothing else is said
Report = Callable[[str], None]


def write_page(
    run: Run, dataset: Dataset, device: str, output: Path | None = None, count: int | None = None,
    report: Report = lambda line: None,
) -> Path:  # fmt: skip
    """Write the page of a run and return its path: `output`, or page.html in the folder of its figures.

    Arguments:
        dataset: the images that the run was trained on.
        count: how many test images the page has; by default as many as fit (`page_data.show`).
        report: gets lines for the user.

    Raises PIEError if the run is damaged, UsageError if `output` is no place for a file, FolderError if it cannot be
    written; nothing is left then.
    """
    # What a link leads to is written; a pipe or a device would be replaced by the file.
    path = output or run.figures / PAGE
    if path.is_symlink():
        path = path.resolve()
    if output and ((path.exists() and not path.is_file()) or not path.parent.is_dir()):
        what = "is no file" if path.exists() else f"cannot be written: {path.parent} is no folder"
        raise UsageError(f"{output} {what}; choose another file with `output`")
    shown = show(run.load_model(device), dataset, count)
    report(f"{len(shown.images):,} test images; making UMAP's plane of their codes")
    page = page_of(run, dataset, shown)
    with advising("output"):
        if output is None:
            run.figures.mkdir(exist_ok=True, parents=run.figures_folder is not None)
        write_text(path, page)
    return path


def page_of(run: Run, dataset: Dataset, shown: Shown) -> str:
    """Return the page of a run and what it shows, as HTML."""
    tensors, config = data_of(run, shown), run.config
    weights = packed_weights(shown.model, shown.images.images)
    about = {
        "config": config.to_dict()["model"],
        "classes": dataset.classes,
        "count": len(shown.images),
        "testImages": len(dataset.test),
        "name": dataset.name,
    }
    shape = config.model.image_shape
    return rendered(
        "page.html",
        MODEL_SCRIPTS,
        title=run.label,
        values=prod(shape),
        size=shape_text(*shape),
        model=config.model_name,
        latent_dim=config.model.latent_dim,
        levels=len(getattr(config.model, "residual_sizes", ())),
        classes=dataset.classes,
        mapped=len(shown.images) >= FEWEST,
        measured=min(MEASURED, len(shown.images)),
        count=len(shown.images),
        of_all=len(dataset.test),
        facts=facts_of(run, dataset, shown),
        about=as_json(about),
        data=as_base64(tensors),
        weights=as_base64(weights),
    )
