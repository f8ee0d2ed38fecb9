"""The command line: parse, call, print. No logic lives here, and nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pie_cli import options, paper
from pie_cli.allocator import keep_freed_memory
from pie_cli.console import failing_in_one_line, out
from pie_cli.interrupts import raise_on_signals

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


def main() -> None:
    """Run the command line; what a user can mend becomes one line on stderr and an exit code."""
    with failing_in_one_line():
        raise_on_signals()
        keep_freed_memory()
        app(standalone_mode=False)


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
    model: options.ModelOption = "pie",
    eps2: options.Eps2Option = None,
    latent_dim: options.LatentDimOption = paper.LATENT_DIM,
    epochs: options.EpochsOption = paper.DEFAULT_EPOCHS,
    batch_size: options.BatchSizeOption = 128,
    lr: options.LrOption = None,
    grad_clip: options.GradClipOption = None,
    seed: options.SeedOption = 0,
    scale: options.ScaleOption = None,
    contraction: options.ContractionOption = None,
    linear_contraction: options.LinearContractionOption = None,
    couplings: options.CouplingsOption = None,
    conv_width: options.ConvWidthOption = None,
    dense_width: options.DenseWidthOption = None,
    dense_depth: options.DenseDepthOption = None,
    reconstruction: options.ReconstructionOption = None,
    reconstruction_start: options.ReconstructionStartOption = None,
    learn_eps2: options.LearnEps2Option = False,
    noise: options.NoiseOption = None,
    anneal: options.AnnealOption = None,
    init: options.InitOption = None,
    precision: options.PrecisionOption = "32-true",
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
    devices: options.DevicesOption = None,
    num_nodes: options.NumNodesOption = None,
    compile: options.CompileOption = False,
    recompute: options.RecomputeOption = False,
    resume: options.ResumeOption = False,
    overwrite: options.OverwriteOption = False,
    tensorboard: options.TensorboardOption = False,
    dry_run: options.DryRunOption = False,
) -> None:
    """Train a model; its run folder lies in --results-dir."""
    from pie_cli import launch
    from pie_cli.devices import find_accelerator, is_main_process
    from pie_cli.distributed import plan_execution
    from pie_cli.progress import TrainingDisplay

    out.quiet = not is_main_process()
    training: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "grad_clip": grad_clip}
    training |= {"seed": seed, "noise": noise, "init": init, "anneal": anneal, "precision": precision}
    training |= {"reconstruction_start": reconstruction_start, "dataset": dataset}
    pie = {"eps2": eps2, "scale": scale, "contraction": contraction, "linear_contraction": linear_contraction}
    pie |= {"couplings": couplings, "conv_width": conv_width, "dense_width": dense_width, "dense_depth": dense_depth}
    pie |= {"reconstruction": reconstruction, "learn_eps2": learn_eps2 or None}
    config = launch.run_config(model, latent_dim, training, pie)
    accelerator = find_accelerator(device)
    execution = plan_execution(config, accelerator, devices, num_nodes, compile, recompute, out.print)
    if dry_run:
        out.print(launch.describe(config, results_dir, execution))
        return
    run = launch.open_for_training(config, results_dir, resume, overwrite)
    if run.finished and not overwrite:
        launch.complete(run)
        out.print(f"{run.folder} is complete; nothing to do")
        return
    log = launch.tensorboard_log(run) if tensorboard else None
    images = _dataset(run, data_dir, offline)
    out.print(launch.headline(config, execution))
    launch.train_run(run, images, execution, TrainingDisplay(out, run.config.name, log), overwrite)


@app.command()
def reconstruct(
    context: typer.Context,
    run: options.RunArgument = None,
    model: options.ModelOption = "pie",
    eps2: options.Eps2Option = None,
    latent_dim: options.LatentDimOption = paper.LATENT_DIM,
    seed: options.SeedOption = 0,
    count: options.ShownOption = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Also decode with this many residual levels, and exactly.", show_default="z alone"),
    ] = None,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Fig. 7a: test images and their reconstructions; with --keep, the compression undone."""
    from pie_cli import experiments

    chosen, accelerator = _run(context, run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    experiments.check_keep(chosen, keep, count)
    images = _dataset(chosen, data_dir, offline)
    if keep is None:
        _show(experiments.draw_reconstructions(chosen, images, accelerator, count or paper.RECONSTRUCTIONS))
    else:
        _show(experiments.draw_progressive(chosen, images, accelerator, keep))


@app.command()
def sample(
    context: typer.Context,
    run: options.RunArgument = None,
    model: options.ModelOption = "pie",
    eps2: options.Eps2Option = None,
    latent_dim: options.LatentDimOption = paper.LATENT_DIM,
    seed: options.SeedOption = 0,
    count: options.CountOption = paper.SAMPLES,
    std: Annotated[
        float | None, typer.Option(help="Standard deviation of z; the prior's is 1.", show_default="1")
    ] = None,
    variance: Annotated[
        float | None, typer.Option(help="Variance of z, instead of --std; Fig. 7c has 0.5.", show_default="1")
    ] = None,
    sample_seed: Annotated[int, typer.Option(min=0, max=options.LARGEST_SEED, help="Seed of the codes.")] = 0,
    prior: options.PriorOption = "normal",
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Fig. 7b, 7c, 9: images decoded from z ~ N(0, variance), or from a prior fitted after training."""
    from pie_cli import experiments

    spread = experiments.spread_of_codes(std, variance, prior)
    chosen, accelerator = _run(context, run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    if prior == "normal":
        drawing = experiments.draw_samples(chosen, accelerator, count, spread, sample_seed)
    else:
        images = _dataset(chosen, data_dir, offline)
        drawing = experiments.draw_fitted_samples(chosen, images, accelerator, count, prior, sample_seed)
    _show(drawing)


@app.command()
def interpolate(
    context: typer.Context,
    run: options.RunArgument = None,
    model: options.ModelOption = "pie",
    eps2: options.Eps2Option = None,
    latent_dim: options.LatentDimOption = paper.LATENT_DIM,
    seed: options.SeedOption = 0,
    rows: options.RowsOption = None,
    first: Annotated[int | None, typer.Option("--from", min=0, max=9, help="One pair: from this digit …")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, max=9, help="… to this digit.")] = None,
    from_index: Annotated[int | None, typer.Option(min=0, help="One pair: from this test image …")] = None,
    to_index: Annotated[int | None, typer.Option(min=0, help="… to this test image.")] = None,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Fig. 7d, 8: decoded points on the straight line between the codes of two test images."""
    from pie_cli import experiments

    experiments.check_pair(rows, (first, last), (from_index, to_index))
    chosen, accelerator = _run(context, run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    images = _dataset(chosen, data_dir, offline)
    pairs, stem = experiments.choose_pairs(images.test, rows, (first, last), (from_index, to_index))
    _show(experiments.draw_interpolations(chosen, images, accelerator, pairs, stem))


@app.command()
def umap(
    context: typer.Context,
    run: options.RunArgument = None,
    model: options.ModelOption = "pie",
    eps2: options.Eps2Option = None,
    latent_dim: options.LatentDimOption = paper.LATENT_DIM,
    seed: options.SeedOption = 0,
    umap_seed: Annotated[int, typer.Option(min=0, max=options.LARGEST_SEED, help="Seed of UMAP.")] = 0,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Fig. 7e: UMAP of the test images' codes, coloured by digit."""
    from pie_cli import experiments

    chosen, accelerator = _run(context, run, model, eps2, latent_dim, seed, dataset, results_dir, device)
    _show(experiments.draw_umap(chosen, _dataset(chosen, data_dir, offline), accelerator, umap_seed))


@app.command()
def sharpness(
    models: Annotated[str, typer.Option(help="Rows of the table, comma-separated.")] = "pie,vae,wae",
    eps2: Annotated[
        str | None,
        typer.Option(
            help="ε₀² of PIE's rows, comma-separated.",
            show_default=",".join(f"{value:g}" for value in paper.EPS2_VALUES),
        ),
    ] = None,
    profile: options.ProfileOption = "quick",
    no_train: Annotated[bool, typer.Option("--no-train", help="Refuse instead of training what is missing.")] = False,
    jobs: options.JobsOption = None,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Table 1: the sharpness of samples at d = 8 (10,000; quick: 1,000), and their realism; trains what is missing."""
    from pie_cli.reproduce import print_table_1, sharpness_runs
    from pie_cli.suite import Suite

    wanted = sharpness_runs(models, eps2)
    suite = Suite.prepare(profile, dataset, data_dir, offline, results_dir, device, jobs, out)
    print_table_1(suite, wanted, train=not no_train)


@app.command()
def evaluate(
    runs: options.RunsArgument = None,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """Every figure of merit of trained runs, PCA of the same dimension beside them."""
    from pie_cli.reproduce import print_evaluation
    from pie_cli.suite import Suite

    suite = Suite.prepare("paper", dataset, data_dir, offline, results_dir, device, 1, out)
    print_evaluation(suite, runs or [])


@app.command()
def reproduce(
    profile: options.ProfileOption = "quick",
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Seeds of every PIE; the evaluation shows mean ± std.")
    ] = 1,
    baseline_seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Seeds of VAE and WAE.", show_default="--seeds")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a claim FAILS.")] = False,
    jobs: options.JobsOption = None,
    dataset: options.DatasetOption = "mnist",
    data_dir: options.DataDirOption = None,
    offline: options.OfflineOption = False,
    results_dir: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
) -> None:
    """The whole paper: trains what is missing, draws Fig. 7 to 9, writes Table 1 and a verdict on every claim.

    Started several times on one --results-dir, also on several machines, the processes share the work.
    """
    from pie_cli.reproduce import print_verdicts
    from pie_cli.reproduce import reproduce as reproduce_all
    from pie_cli.suite import Suite

    suite = Suite.prepare(profile, dataset, data_dir, offline, results_dir, device, jobs, out)
    print_verdicts(suite, reproduce_all(suite, seeds, baseline_seeds or seeds), strict)


def _run(
    context: typer.Context,
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
        choice = {"model": model, "eps2": eps2, "latent_dim": latent_dim, "seed": seed, "dataset": dataset}
        given = {name: value for name, value in choice.items() if options.given(context, name)}
        return launch.finished_run(folder, given), accelerator
    config = launch.run_config(model, latent_dim, {"seed": seed, "dataset": dataset}, {"eps2": eps2})
    return launch.find_run(config, results_dir, out.print), accelerator


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
