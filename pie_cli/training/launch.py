"""From a configuration to a trained run: what may be trained, its lock, and what comes after its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.errors import UsageError
from pie_cli.models.registry import Build, build_model
from pie_cli.plots import figures
from pie_cli.runs.find import run_of
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import Heart, remove_heartbeat
from pie_cli.runtime import Execution
from pie_cli.training.batches import batches_per_epoch
from pie_cli.training.display import Beating, Display
from pie_cli.training.distributed import ending_together
from pie_cli.training.loop import Parts, train

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def open_for_training(
    config: RunConfig,
    results_dir: Path,
    resume: bool,
    overwrite: bool,
    is_main: bool = True,
    build: Build = build_model,
) -> Run:
    """Return the run to train; nothing is written yet, and an existing run is overwritten only on request.

    Raises:
        UsageError: if the run exists without `resume` or `overwrite`, or with both, or has another configuration.
        PIEError: if it is finished and its weights are damaged.
        Held: if another process trains it.
    """
    if resume and overwrite:
        raise UsageError("`resume` goes on with a run and `overwrite` trains it again; give one of them")
    run = replace(run_of(config, results_dir), build=build)
    if run.exists and not run.finished and is_main:
        with run.lock():  # nobody should be told to resume or overwrite a run that is being trained
            pass
    if run.exists and not overwrite:
        if not resume:
            advice = "add `resume` to go on with it, `overwrite` to train it again, or choose another `results_dir`"
            raise UsageError(f"{run.folder} exists; {advice}")
        check_configuration(run)
        if run.finished:
            run.load_model()  # only a run with good weights is called complete
    return run


def check_configuration(run: Run) -> None:
    """Raise UsageError if the folder holds a run of another configuration; no run at all is fine."""
    known = Run.open(run.folder).config if run.exists else None
    if known and known.training is None:
        advice = "choose another `results_dir`, or replace it with `overwrite`"
        raise UsageError(f"{run.folder} holds a model that was trained elsewhere; {advice}")
    if known and (differences := known.differences(run.config)):
        advice = "give the same settings, choose another `results_dir`, or train it again with `overwrite`"
        if known.resolved.epochs != run.config.resolved.epochs:
            # A longer training has other learning rates from the first step on, and a finished one has none left.
            advice = f"the learning rate falls over all epochs, so a training cannot be made longer; {advice}"
        raise UsageError(f"{run.folder} was trained with other settings ({'; '.join(differences)}); {advice}")


def describe(run: Run, execution: Execution) -> str:
    """Return what a training would do and write."""
    files = "".join(f"\n  {path}" for path in run.files)
    return f"{json.dumps(run.config.to_dict(), indent=2)}\ndevice: {execution}\nwould write:{files}"


def train_run(
    run: Run,
    dataset: Dataset,
    execution: Execution,
    display: Display,
    overwrite: bool = False,
    parts: Parts | None = None,
    evaluate: Callable[[], object] | None = None,
) -> None:
    """Train the run (see `loop.train`) and draw its learning curve; a finished run is left as it is.

    If one training has several processes, only the first holds the run's lock. Raises Held if another training has it.
    A heartbeat tells of the training, and of `evaluate` if that is to follow; then it stays, for whoever waits for it.
    """
    batches_per_epoch(dataset, run.config.resolved)  # what cannot be trained leaves no folder behind
    with run.lock() if execution.is_main else nullcontext():
        if not overwrite:
            check_configuration(run)  # again: another process may have created the run by now
        if not execution.is_main:
            with ending_together(execution):
                train(run, dataset, execution, display, overwrite, parts)
            return
        run.remove_litter()
        with Heart(run.folder, keep=evaluate is not None) as heart:
            if overwrite or not run.finished:
                with ending_together(execution):
                    train(run, dataset, execution, Beating(heart, display), overwrite, parts)
            complete(run)
            if evaluate:
                heart.say(state="evaluating", speed=None, left=None)
                evaluate()


def complete(run: Run) -> None:
    """Tidy up and draw after a run's weights are written, unless that is done; a process may be killed in between."""
    run.remove_checkpoints()
    run.remove_litter()
    remove_heartbeat(run.folder)
    stem, metrics = run.folder / "learning_curve", run.folder / "metrics.csv"
    if metrics.exists() and not all(stem.with_suffix(suffix).exists() for suffix in (".pdf", ".png")):
        figures.save(figures.learning_curve(run.history, run.label), stem)


def tensorboard_log(run: Run) -> Callable[[], SummaryWriter]:
    """Return a function that opens TensorBoard's log in the run folder. Raises UsageError if the extra is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        extra = "pip install 'pseudo-invertible-encoder[tensorboard]'"
        raise UsageError(f"`tensorboard` needs the extra: {extra}") from error
    return partial(SummaryWriter, run.folder / "tensorboard")
