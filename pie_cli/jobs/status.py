"""The state of every run in a folder, from the runs' heartbeats and files."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pie_cli.config.naming import QUICK
from pie_cli.errors import PIEError, UnusableRun
from pie_cli.io.text import one_line
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import Heartbeat


def status(results_dir: Path, report: Callable[[str], None]) -> pd.DataFrame:
    """Return a row for each run in a folder, and for those of the quick profile in it, in the order of their names.

    `report` is told which folders are left out, why runs have failed, and how to go on with those that are dead. Raises
    PIEError if there is no run.
    """
    rows = []
    for path in sorted([*results_dir.glob("*/config.json"), *results_dir.glob(f"{QUICK}/*/config.json")]):
        try:
            run = Run.open(path.parent)
        except PIEError as error:
            report(f"left out: {error.problem if isinstance(error, UnusableRun) else error}")
            continue
        if run.config.training is not None:
            rows.append(_row(run, str(run.folder.relative_to(results_dir)), report))
    if not rows:
        raise PIEError(f"there is no run in {results_dir}; name the folder of some: pie status FOLDER")
    return pd.DataFrame(rows)


def state_of(run: Run, said: Heartbeat | None) -> str:
    """Return what a run is, in a word.

    "training" and "evaluating" while a process does so, "dead" if that is gone without a word, "stopped" or "failed" if
    it said so, "trained" without an evaluation, "finished" with one.
    """
    if said and said.at_work:
        return said.state
    if run.evaluated:
        return "finished"
    if said and said.state == "failed":
        return "failed"
    if run.finished:
        return "trained"
    return "dead" if said and said.deaths else "stopped"


def _row(run: Run, name: str, report: Callable[[str], None]) -> dict[str, object]:
    """Return what the table says of a run."""
    said, epochs = run.heartbeat, run.config.resolved.epochs
    state = state_of(run, said)
    now = said if said and state == said.state else None  # numbers of now, not of an earlier process
    if said and state == "failed":
        report(f"{name} failed: {one_line(said.reason)}")
    if said and state == "dead":
        report(f"{name} is dead: {one_line(said.host)}, process {said.pid}, was last heard of {_ago(said.time)}")
    done = epochs if run.finished else max(said.epoch if said else 0, run.epochs_done)
    return {
        "run": name,
        "state": state,
        "epochs": f"{done}/{epochs}",
        "steps": f"{said.progress:.0%}" if said and said.steps and not run.finished else None,
        "loss": now and now.loss,
        "z-only MSE": now and now.val_mse,
        "images/s": now and now.speed,
        "min left": now and now.left and now.left / 60,
        "where": one_line(f"{now.host} {now.pid}" + f", GPU {now.gpu}" * bool(now.gpu)) if now else None,
    }


def _ago(since: float) -> str:
    """Return how long ago it was, in the unit that suits."""
    seconds = max(time.time() - since, 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
