"""From options to a run: its configuration, its folder, its training."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pie_cli import figures
from pie_cli.configuration import RunConfig, TrainingConfig, in_epochs
from pie_cli.data import Dataset
from pie_cli.devices import Execution, is_main_process
from pie_cli.distributed import ending_together
from pie_cli.errors import PIEError, UsageError
from pie_cli.models import CONFIGS, model_name
from pie_cli.paper import ANNEAL, IMAGE_SHAPE, LEARNING_RATES
from pie_cli.pie import PIEConfig
from pie_cli.progress import Display
from pie_cli.runs import Run
from pie_cli.training import ANNEAL_FROM, batches_per_epoch, train

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_INSTALLED, _CHECKOUT = Path(__file__).parent / "showcase", Path(__file__).parent.parent / "results" / "showcase"
SHOWCASE = _INSTALLED if _INSTALLED.exists() else _CHECKOUT  # the trained run that comes with the program


def run_config(model: str, latent_dim: int, training: dict[str, Any], pie: dict[str, Any]) -> RunConfig:
    """Return a run's configuration; options that are None take the model's default.

    Arguments:
        model: "pie", "vae" or "wae".
        latent_dim: d.
        training: fields of `TrainingConfig`.
        pie: further fields of `PIEConfig`; other models have none of them.

    Raises:
        UsageError: naming the option that is wrong.
    """
    if model not in CONFIGS:
        raise UsageError(f"--model {model} is unknown; choose {', '.join(CONFIGS)}")
    training = {name: value for name, value in training.items() if value is not None}
    pie = {name: value for name, value in pie.items() if value is not None}
    training.setdefault("lr", LEARNING_RATES[model])
    try:
        if model == "pie":
            config = PIEConfig(image_shape=IMAGE_SHAPE, latent_dim=latent_dim, **pie)
            # Without noise of variance ε₀² the flow would be paid for stretching the empty background up to it.
            defaults = {"noise": config.eps2, "dequantise": True, "init": "pca"}
            defaults["anneal"] = 0.0 if config.learn_eps2 else ANNEAL
            if config.learn_eps2 and training.get("anneal"):
                raise UsageError("--learn-eps2 and --anneal both change ε₀²; give one of them")
            fields = TrainingConfig(**{**defaults, **training})
            if fields.reconstruction_start and config.reconstruction:
                raise UsageError("--reconstruction-start falls to 0 and --reconstruction stays; give one of them")
            if fields.reconstruction_start and not (fields.anneal and config.eps2 < ANNEAL_FROM):
                needed = f"an --eps2 below {ANNEAL_FROM:g} and an --anneal above 0"
                raise UsageError(f"--reconstruction-start falls while ε₀² is annealed: it needs {needed}")
            for name in ("contraction", "linear_contraction"):
                if name in pie and config.scale != "contractive":
                    other = f"does not go with --scale {config.scale}"
                    raise UsageError(f"--{_option(name)} is of --scale contractive and {other}")
            return RunConfig(config, fields)
        if training.get("init") == "pca":
            pie["init"] = "pca"
        pie |= {name: training[name] for name in ("anneal", "reconstruction_start") if training.get(name)}
        if pie:
            raise UsageError(f"--{_option(next(iter(pie)))} is an option of PIE and does not go with --model {model}")
        return RunConfig(CONFIGS[model](image_shape=IMAGE_SHAPE, latent_dim=latent_dim), TrainingConfig(**training))
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        raise UsageError(f"--{_option(field)} {rest}") from error


def _option(field: str) -> str:
    return field.replace("_", "-")


def train_command(config: RunConfig, results_dir: Path) -> str:
    """Return the command that trains exactly this run: every field that differs from the defaults is an option."""
    name, training = model_name(config.model), config.training
    pie = config.model if isinstance(config.model, PIEConfig) else None
    parts = ["pie", "train", *(["--eps2", f"{pie.eps2:g}"] if pie else ["--model", name])]
    parts += ["--latent-dim", str(config.model.latent_dim), "--seed", str(training.seed)]
    plain = run_config(name, config.model.latent_dim, {}, {"eps2": pie.eps2} if pie else {})
    fields = ["dataset", "epochs", "batch_size", "lr", "grad_clip", "noise", "init", "anneal", "precision"]
    fields += ["scale", "contraction", "linear_contraction", "couplings", "conv_width", "dense_width", "dense_depth"]
    fields += ["reconstruction", "reconstruction_start"]
    given, default = ({**asdict(c.model), **asdict(c.training)} for c in (config, plain))
    for field in fields:
        if given.get(field) != default.get(field):
            parts += [f"--{_option(field)}", str(given[field])]
    parts += ["--learn-eps2"] * bool(given.get("learn_eps2"))
    if results_dir != Path("results"):
        parts += ["--results-dir", str(results_dir)]
    return shlex.join(parts)


def open_for_training(config: RunConfig, results_dir: Path, resume: bool, overwrite: bool) -> Run:
    """Return the run to train; nothing is written yet, and what is there is never overwritten unasked.

    Raises:
        UsageError: if the run exists and neither `resume` nor `overwrite` is given, or it has another configuration;
            if both are given.
        PIEError: if it is finished and its weights are damaged.
        Held: if another process trains it.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a run and --overwrite trains it anew; give one of them")
    run = Run(results_dir / config.name, config)
    if run.exists and not run.finished:
        with (
            run.lock() if is_main_process() else nullcontext()
        ):  # before anybody is told to resume or to overwrite what is being trained
            pass
    if run.exists and not overwrite:
        if not resume:
            raise UsageError(
                f"{run.folder} exists; add --resume to go on with it, --overwrite to train it anew, or choose "
                "another --results-dir"
            )
        check_configuration(run)
        if run.finished:
            run.load_model()  # "complete" is said of good weights only
    return run


def check_configuration(run: Run) -> None:
    """Raise UsageError if the folder holds a run of another configuration; none at all is fine."""
    if run.exists and (differences := Run.open(run.folder).config.differences(run.config)):
        raise UsageError(
            f"{run.folder} was trained otherwise ({'; '.join(differences)}); give the same options, choose another "
            "--results-dir, or train it anew with --overwrite"
        )


def find_run(config: RunConfig, results_dir: Path, report: Callable[[str], None]) -> Run:
    """Return the finished run of this name; where there is none, the one that comes with the program, if it is that.

    Arguments:
        config: of the run; its name decides.
        results_dir: folder of the runs.
        report: is told where the run comes with the program.

    Raises:
        PIEError: if there is none; the message names the command that trains it.
    """
    run = Run(results_dir / config.name, config)
    if run.exists:
        return finished_run(run.folder)
    if (SHOWCASE / "config.json").exists() and (shown := Run.open(SHOWCASE)).config.name == config.name:
        report(f"there is no run {run.folder} yet; this is the trained one that comes with the program: {SHOWCASE}")
        return replace(shown, figures_folder=results_dir / "showcase" / "figures")
    raise PIEError(f"there is no run {run.folder}; train it with: {train_command(config, results_dir)}")


def finished_run(folder: Path, given: Mapping[str, object] | None = None) -> Run:
    """Return the run in `folder`.

    Arguments:
        folder: of the run.
        given: options that choose a run, which must then be those of this one.

    Raises:
        UsageError: if they are not.
        PIEError: if there is no run or its training has not finished.
    """
    run = Run.open(folder)
    facts = {"model": model_name(run.config.model), **asdict(run.config.model), **asdict(run.config.training)}
    for name, value in (given or {}).items():
        if facts.get(name) != value:
            raise UsageError(f"--{_option(name)} {value} is not that of {folder}; leave out either of them")
    if not run.finished:
        command = train_command(run.config, folder.parent)
        raise PIEError(f"the training of {folder} has not finished; go on with: {command} --resume")
    return run


def headline(config: RunConfig, execution: Execution) -> str:
    """Return what is about to be trained, on one line."""
    training, parts = config.training, [config.name]
    if isinstance(config.model, PIEConfig):
        parts.append(f"ε₀² = {config.model.eps2:g} (ε₀ = {math.sqrt(config.model.eps2):.3g})")
        parts.append(f"noise variance {training.noise:g}")
    parts.append(f"{in_epochs(training.epochs)} of batches of {training.batch_size}")
    return ", ".join([*parts, f"learning rate {training.lr:g}, {training.precision}, on {execution}"])


def describe(config: RunConfig, results_dir: Path, execution: Execution) -> str:
    """Return what a training would do and write, for --dry-run."""
    run = Run(results_dir / config.name, config)
    files = "".join(f"\n  {path}" for path in run.files)
    return f"{json.dumps(config.to_dict(), indent=2)}\ndevice: {execution}\nwould write:{files}"


def train_run(run: Run, dataset: Dataset, execution: Execution, display: Display, overwrite: bool = False) -> None:
    """Train the run (see `training.train`) and draw its learning curve; a finished run is left as it is.

    Of several processes of one training, the first alone holds the run's lock.

    Raises:
        Held: if another process trains it.
    """
    batches_per_epoch(dataset, run.config.training)  # what cannot be trained leaves no folder behind
    with run.lock() if is_main_process() else nullcontext():
        if not overwrite:
            check_configuration(run)  # of whatever another process has made of it by now
        if overwrite or not run.finished:
            if is_main_process():
                run.remove_litter()
            with ending_together():
                train(run, dataset, execution, display, overwrite)
        if is_main_process():
            complete(run)


def complete(run: Run) -> None:
    """Do what comes after the weights of a finished run, where a process was killed before it: tidy up, draw."""
    run.remove_checkpoints()
    run.remove_litter()
    stem, metrics = run.folder / "learning_curve", run.folder / "metrics.csv"
    if metrics.exists() and not all(stem.with_suffix(suffix).exists() for suffix in (".pdf", ".png")):
        figures.save(figures.learning_curve(pd.read_csv(metrics), run.config.label), stem)


def tensorboard_log(run: Run) -> Callable[[], SummaryWriter] | None:
    """Return what opens TensorBoard's files in the run folder, for the one process that writes.

    Raises:
        UsageError: where the extra is missing.
    """
    if not is_main_process():
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the extra: pip install 'pseudo-invertible-encoder[tensorboard]'"
        ) from error
    return partial(SummaryWriter, run.folder / "tensorboard")
