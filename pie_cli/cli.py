"""The command line: parse, call, print. No logic lives here, and nothing heavy is imported before it is used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pie_cli import paper
from pie_cli.allocator import keep_freed_memory
from pie_cli.errors import PIEError
from pie_cli.interrupts import raise_on_signals
from pie_cli.options import (
    BatchSizeOption,
    CompileOption,
    ContractionOption,
    ConvWidthOption,
    DataDirOption,
    DatasetOption,
    DenseDepthOption,
    DenseWidthOption,
    DeviceOption,
    DevicesOption,
    DryRunOption,
    EpochsOption,
    Eps2Option,
    InitOption,
    JobsOption,
    LatentDimOption,
    LrOption,
    ModelOption,
    NoiseOption,
    NumNodesOption,
    OfflineOption,
    OverwriteOption,
    PrecisionOption,
    ProfileOption,
    RecomputeOption,
    ResultsOption,
    ResumeOption,
    RunArgument,
    ScaleOption,
    SeedOption,
    TensorboardOption,
)

if TYPE_CHECKING:
    from pie_cli.data import Dataset
    from pie_cli.experiments import Drawing
    from pie_cli.runs import Run

app = typer.Typer(
    name="pie",
    help="PIE: Pseudo-Invertible Encoder (arXiv 2111.00619). Train it, look at what it learned, compare it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; a `PIEError` becomes one line on stderr and its exit code."""
    try:
        raise_on_signals()
        keep_freed_memory()
        sys.exit(app(standalone_mode=False) or 0)
    except (PIEError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        if message:  # none where Typer has shown the help instead
            print(f"error: {message}", file=sys.stderr)
        sys.exit(error.exit_code)


def _version(wanted: bool) -> None:
    if wanted:
        from pie_cli.provenance import package_version

        print(f"pie {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def train(
    model: ModelOption = "pie",
    eps2: Eps2Option = None,
    latent_dim: LatentDimOption = paper.LATENT_DIM,
    epochs: EpochsOption = paper.DEFAULT_EPOCHS,
    batch_size: BatchSizeOption = 128,
    lr: LrOption = None,
    seed: SeedOption = 0,
    scale: ScaleOption = None,
    contraction: ContractionOption = None,
    conv_width: ConvWidthOption = None,
    dense_width: DenseWidthOption = None,
    dense_depth: DenseDepthOption = None,
    noise: NoiseOption = None,
    init: InitOption = None,
    precision: PrecisionOption = "32-true",
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
    devices: DevicesOption = None,
    num_nodes: NumNodesOption = None,
    compile: CompileOption = False,
    recompute: RecomputeOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    tensorboard: TensorboardOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Train a model; its run folder lies in --results-dir."""
    from pie_cli import launch
    from pie_cli.devices import find_accelerator, is_main_process
    from pie_cli.distributed import plan_execution
    from pie_cli.progress import TrainingDisplay

    out.quiet = not is_main_process()
    training = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "noise": noise, "init": init}
    pie = {"eps2": eps2, "scale": scale, "contraction": contraction}
    pie |= {"conv_width": conv_width, "dense_width": dense_width, "dense_depth": dense_depth}
    config = launch.run_config(model, latent_dim, {**training, "dataset": dataset, "precision": precision}, pie)
    accelerator = find_accelerator(device)
    execution = plan_execution(config, accelerator, devices, num_nodes, compile, recompute, out.print)
    if dry_run:
        out.print(launch.describe(config, results_dir, execution))
        return
    run = launch.open_for_training(config, results_dir, resume, overwrite)
    if run.finished and not overwrite:
        out.print(f"{run.folder} is complete; nothing to do")
        return
    images = _dataset(run, data_dir, offline)
    out.print(launch.headline(config, execution))
    log = launch.tensorboard_log(run) if tensorboard else None
    launch.train_run(run, images, execution, TrainingDisplay(out, run.config.name, log), overwrite)


@app.command()
def reconstruct(
    run: RunArgument = None,
    model: ModelOption = "pie",
    eps2: Eps2Option = None,
    latent_dim: LatentDimOption = paper.LATENT_DIM,
    seed: SeedOption = 0,
    count: Annotated[int, typer.Option(min=1, help="Test images to show.")] = paper.RECONSTRUCTIONS,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Also decode with this many residual levels, and exactly.", show_default="z alone"),
    ] = None,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Fig. 7a: test images and their reconstructions; with --keep, the compression undone."""
    from pie_cli import experiments

    chosen, accelerator = _run(run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    images = _dataset(chosen, data_dir, offline)
    if keep is None:
        _show(experiments.draw_reconstructions(chosen, images, accelerator, count))
    else:
        _show(experiments.draw_progressive(chosen, images, accelerator, keep))


@app.command()
def sample(
    run: RunArgument = None,
    model: ModelOption = "pie",
    eps2: Eps2Option = None,
    latent_dim: LatentDimOption = paper.LATENT_DIM,
    seed: SeedOption = 0,
    count: Annotated[int, typer.Option(min=1, help="Number of samples; Fig. 9 is a sheet of 400.")] = paper.SAMPLES,
    std: Annotated[
        float | None, typer.Option(help="Standard deviation of z; the prior's is 1.", show_default="1")
    ] = None,
    variance: Annotated[
        float | None, typer.Option(help="Variance of z, instead of --std; Fig. 7c has 0.5.", show_default="1")
    ] = None,
    sample_seed: Annotated[int, typer.Option(min=0, help="Seed of the codes.")] = 0,
    dataset: DatasetOption = "mnist",
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Fig. 7b, 7c, 9: images decoded from z ~ N(0, variance)."""
    from pie_cli import experiments

    spread = experiments.spread_of_codes(std, variance)
    chosen, accelerator = _run(run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    _show(experiments.draw_samples(chosen, accelerator, count, spread, sample_seed))


@app.command()
def interpolate(
    run: RunArgument = None,
    model: ModelOption = "pie",
    eps2: Eps2Option = None,
    latent_dim: LatentDimOption = paper.LATENT_DIM,
    seed: SeedOption = 0,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of test images; Fig. 8 has many.")] = paper.INTERPOLATIONS,
    first: Annotated[int | None, typer.Option("--from", min=0, max=9, help="One pair: from this digit …")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, max=9, help="… to this digit.")] = None,
    from_index: Annotated[int | None, typer.Option(min=0, help="One pair: from this test image …")] = None,
    to_index: Annotated[int | None, typer.Option(min=0, help="… to this test image.")] = None,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Fig. 7d, 8: decoded points on the straight line between the codes of two test images."""
    from pie_cli import experiments

    chosen, accelerator = _run(run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    images = _dataset(chosen, data_dir, offline)
    pairs, stem = experiments.choose_pairs(images.test, rows, (first, last), (from_index, to_index))
    _show(experiments.draw_interpolations(chosen, images, accelerator, pairs, stem))


@app.command()
def umap(
    run: RunArgument = None,
    model: ModelOption = "pie",
    eps2: Eps2Option = None,
    latent_dim: LatentDimOption = paper.LATENT_DIM,
    seed: SeedOption = 0,
    umap_seed: Annotated[int, typer.Option(min=0, help="Seed of UMAP.")] = 0,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Fig. 7e: UMAP of the test images' codes, coloured by digit."""
    from pie_cli import experiments

    chosen, accelerator = _run(run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    _show(experiments.draw_umap(chosen, _dataset(chosen, data_dir, offline), accelerator, umap_seed))


@app.command()
def sharpness(
    models: Annotated[str, typer.Option(help="Rows of the table, comma-separated.")] = "pie,vae,wae",
    eps2: Annotated[str, typer.Option(help="ε₀² of PIE's rows, comma-separated.")] = ",".join(
        f"{value:g}" for value in paper.EPS2_VALUES
    ),
    profile: ProfileOption = "quick",
    no_train: Annotated[bool, typer.Option("--no-train", help="Refuse instead of training what is missing.")] = False,
    jobs: JobsOption = None,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Table 1: the sharpness of 10,000 samples at d = 8, with realism beside it; trains what is missing."""
    from pie_cli.reproduce import print_table_1, sharpness_runs
    from pie_cli.suite import Suite

    wanted = sharpness_runs(models, eps2)
    suite = Suite.prepare(profile, dataset, data_dir, offline, results_dir, device, jobs, out)
    print_table_1(suite, wanted, train=not no_train)


@app.command()
def evaluate(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders; without any, all runs in --results-dir.", show_default=False),
    ] = None,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """Every figure of merit of trained runs, PCA of the same dimension beside them."""
    from pie_cli.reproduce import print_evaluation
    from pie_cli.suite import Suite

    suite = Suite.prepare("paper", dataset, data_dir, offline, results_dir, device, 1, out)
    print_evaluation(suite, runs or [])


@app.command()
def reproduce(
    profile: ProfileOption = "quick",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every run; tables show mean ± std.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a claim FAILS.")] = False,
    jobs: JobsOption = None,
    dataset: DatasetOption = "mnist",
    data_dir: DataDirOption = None,
    offline: OfflineOption = False,
    results_dir: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
) -> None:
    """The whole paper: trains what is missing, draws Fig. 7 to 9, writes Table 1 and a verdict on every claim.

    Started several times on one --results-dir, also on several machines, the processes share the work.
    """
    from pie_cli.reproduce import print_verdicts
    from pie_cli.reproduce import reproduce as reproduce_all
    from pie_cli.suite import Suite

    suite = Suite.prepare(profile, dataset, data_dir, offline, results_dir, device, jobs, out)
    print_verdicts(suite, reproduce_all(suite, seeds), strict)


def _run(
    folder: Path | None,
    model: str,
    eps2: float | None,
    latent_dim: int,
    seed: int,
    dataset: str,
    results_dir: Path,
    device: str,
) -> tuple[Run, str]:
    """Return the run that the options mean, and the accelerator."""
    from pie_cli import launch
    from pie_cli.devices import find_accelerator

    accelerator = find_accelerator(device)
    if folder is not None:
        return launch.finished_run(folder), accelerator
    config = launch.run_config(model, latent_dim, {"seed": seed, "dataset": dataset}, {"eps2": eps2})
    return launch.find_run(config, results_dir), accelerator


def _dataset(run: Run, data_dir: Path | None, offline: bool) -> Dataset:
    """Return the run's data set, saying where it comes from."""
    from pie_cli.data import load_dataset

    return load_dataset(run.config.training.dataset, data_dir, offline, out.print)


def _show(drawing: Drawing) -> None:
    """Print the numbers and the files of a figure."""
    for name, number in drawing.numbers.items():
        out.print(f"{name}: {number:.4g}")
    for path in drawing.files:
        out.print(f"wrote {path}")
