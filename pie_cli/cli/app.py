"""The command line: parse, call, print. No logic lives here, and nothing heavy is imported before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pie_cli import constants as paper
from pie_cli.cli import compressed, given, many, shared
from pie_cli.cli.console import failing_in_one_line, out, say
from pie_cli.cli.options import (
    FILES,
    LARGEST_SEED,
    FigurePlace,
    ImagesChoice,
    Place,
    Processes,
    RunArgument,
    RunChoice,
    TrainSettings,
    expanded,
    opt,
)
from pie_cli.cli.root import app
from pie_cli.config.naming import headline
from pie_cli.runtime import find_accelerator, ignore_signals, keep_freed_memory, raise_on_signals

if TYPE_CHECKING:
    from pie_cli.runs.folder import Run
    from pie_cli.training.loop import Parts


def main(experiment: Callable[[Run], tuple[Run, Parts]] | None = None) -> None:
    """Run the command line; an error that the user can fix becomes one line on stderr and an exit code.

    An experiment may change what `pie train` trains, and the parts of its training.
    """
    with failing_in_one_line():
        # Open no window, and ignore the user's configuration of matplotlib, which may be broken.
        os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
        raise_on_signals()
        keep_freed_memory()
        app(standalone_mode=False, obj=experiment)


@app.command()
@expanded
def train(
    context: typer.Context,
    settings: TrainSettings,
    which: ImagesChoice,
    place: Place,
    processes: Processes,
    resume: Annotated[bool, opt("Resume an interrupted run, or start it.", True, FILES, "--resume")] = False,
    overwrite: Annotated[bool, opt("Discard the existing run and train it again.", True, FILES, "--overwrite")] = False,
    tensorboard: Annotated[
        bool, opt("Also log to TensorBoard (needs the extra: tensorboard).", True, FILES, "--tensorboard")
    ] = False,
    dry_run: Annotated[bool, opt("Only show the configuration and the run's files.", True, None, "--dry-run")] = False,
) -> None:
    """Train a model, and write its run folder into --results-dir."""
    images = given.Images(which, place)
    config = given.config(settings, images)

    from pie_cli.runs.find import run_of
    from pie_cli.training import launch
    from pie_cli.training.display import TrainingDisplay
    from pie_cli.training.distributed import lacks_ranks, plan_execution, start_ranks

    run, parts = run_of(config, place.results_dir), None
    if context.obj:
        run, parts = context.obj(run)
        config = run.config
    accelerator, p = find_accelerator(place.device), processes
    execution = plan_execution(config, accelerator, p.devices, p.num_nodes, p.compile, p.recompute, say)
    if not execution.is_main:
        out.quiet = True
        ignore_signals()
    if dry_run:
        out.print(launch.describe(run, execution))
        return
    run = launch.open_for_training(config, place.results_dir, resume, overwrite, execution.is_main, run.build)
    if run.finished and not overwrite:
        launch.complete(run)
        out.print(f"{run.folder} is complete; nothing to do")
        return
    log = launch.tensorboard_log(run) if tensorboard and execution.is_main else None
    if lacks_ranks(execution):
        start_ranks(execution)
        return
    dataset = images.of(run)
    out.print(f"{headline(config)}, on {execution}")
    launch.train_run(run, dataset, execution, TrainingDisplay(out, run.name, log), overwrite, parts)


@app.command()
@expanded
def reconstruct(
    choice: RunChoice,
    which: ImagesChoice,
    place: FigurePlace,
    run: RunArgument = None,
    count: Annotated[int | None, opt("Number of test images.", str(paper.RECONSTRUCTIONS), min=1, max=5_000)] = None,
    keep: Annotated[
        int | None, opt("Also decode with this many residual levels, and with all.", "z alone", min=0)
    ] = None,
    project: Annotated[
        int | None,
        opt(
            "Also search for the nearest image that the model decodes, by this many steps on z.",
            "no",
            min=1,
            max=10_000,
        ),
    ] = None,
) -> None:
    """Fig. 7a: test images and their reconstructions from z; with --keep from residuals too, with --project from a
    better z."""
    from pie_cli.report import figures

    images = given.Images(which, place)
    chosen, accelerator = given.run(run, choice, images, place)
    figures.check_reconstruction(chosen, keep, count, project)
    dataset = images.of(chosen)
    if keep is not None:
        given.show(figures.draw_progressive(chosen, dataset, accelerator, keep))
    elif project is not None:
        given.show(figures.draw_projections(chosen, dataset, accelerator, project))
    else:
        given.show(figures.draw_reconstructions(chosen, dataset, accelerator, count or paper.RECONSTRUCTIONS))


@app.command()
@expanded
def sample(
    choice: RunChoice,
    which: ImagesChoice,
    place: FigurePlace,
    run: RunArgument = None,
    count: Annotated[int, opt("Number of samples; Fig. 9 shows 400.", min=1, max=10_000)] = paper.SAMPLES,
    std: Annotated[float | None, opt("Standard deviation of z; the prior's is 1.", "1")] = None,
    variance: Annotated[float | None, opt("Variance of z, instead of --std; Fig. 7c uses 0.5.", "1")] = None,
    sample_seed: Annotated[int, opt("Seed of the codes.", min=0, max=LARGEST_SEED)] = 0,
    prior: Annotated[
        Literal["normal", "gaussian", "fitted"],
        opt(
            "normal: the paper's N(0, I). The others are fitted to the training images' z: gaussian is one Gaussian, "
            "fitted a mixture of ten."
        ),
    ] = "normal",
    format: Annotated[
        Literal["figure", "png"], opt("figure: one sheet, and its data; png: a folder of single images.")
    ] = "figure",
) -> None:
    """Fig. 7b, 7c, 9: images decoded from z ~ N(0, variance), or from a prior fitted after training."""
    from pie_cli.report import figures
    from pie_cli.share import samples

    spread = figures.spread_of_codes(std, variance, prior)
    images = given.Images(which, place)
    chosen, accelerator = given.run(run, choice, images, place)
    if format == "png":
        samples.folder_of(chosen, count, spread if prior == "normal" else prior, sample_seed)
    if prior == "normal":
        draw = figures.draw_samples if format == "figure" else samples.write_samples
        drawing = draw(chosen, accelerator, count, spread, sample_seed)
    else:
        draw_fitted = figures.draw_fitted_samples if format == "figure" else samples.write_fitted_samples
        drawing = draw_fitted(chosen, images.of(chosen), accelerator, count, prior, sample_seed)
    given.show(drawing)


@app.command()
@expanded
def interpolate(
    choice: RunChoice,
    which: ImagesChoice,
    place: FigurePlace,
    run: RunArgument = None,
    rows: Annotated[
        int | None,
        opt("Number of pairs of test images; Fig. 8 shows many.", str(paper.INTERPOLATIONS), min=1, max=1_000),
    ] = None,
    first: Annotated[str | None, opt("Start at a test image of this class; needs --to.", True, None, "--from")] = None,
    last: Annotated[str | None, opt("End at a test image of this class.", True, None, "--to")] = None,
    from_index: Annotated[int | None, opt("Start at the test image of this number; needs --to-index.", min=0)] = None,
    to_index: Annotated[int | None, opt("End at the test image of this number.", min=0)] = None,
) -> None:
    """Fig. 7d, 8: decoded points on the straight line between the codes of two test images."""
    from pie_cli.report import figures, pairs

    pairs.check_pair(rows, (first, last), (from_index, to_index))
    images = given.Images(which, place)
    chosen, accelerator = given.run(run, choice, images, place)
    dataset = images.of(chosen)
    joined, stem = pairs.choose_pairs(dataset, rows, (first, last), (from_index, to_index))
    given.show(figures.draw_interpolations(chosen, dataset, accelerator, joined, stem))


@app.command()
@expanded
def umap(
    choice: RunChoice,
    which: ImagesChoice,
    place: FigurePlace,
    run: RunArgument = None,
    umap_seed: Annotated[int, opt("Seed of UMAP.", min=0, max=LARGEST_SEED)] = 0,
) -> None:
    """Fig. 7e: UMAP of the test images' codes, coloured by class."""
    from pie_cli.report import figures

    images = given.Images(which, place)
    chosen, accelerator = given.run(run, choice, images, place)
    given.show(figures.draw_umap(chosen, images.of(chosen), accelerator, umap_seed))


for command in (many.sharpness, many.evaluate, many.reproduce, many.status):
    app.command()(command)
for command in (compressed.compress, compressed.decompress, compressed.info, compressed.reduce):
    app.command(rich_help_panel=compressed.COMPRESSED)(command)
for command in (shared.page, shared.export):
    app.command(rich_help_panel=shared.SHARED)(command)
