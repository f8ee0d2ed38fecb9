"""Which runs have failed, and why, by their heartbeats."""

from collections.abc import Sequence

from pie_cli.errors import PIEError
from pie_cli.runs.folder import Run


def failed(run: Run, since: float) -> str:
    """Return why the run has failed since then, in seconds since 1970; an empty text if it has not."""
    said = run.heartbeat
    if run.evaluated or said is None or said.state != "failed" or said.time < since:
        return ""
    return said.reason or "it failed for no reason on record"


def raise_failures(runs: Sequence[Run], since: float) -> None:
    """Raise PIEError if runs are not done; those that have failed for the same reason are told together."""
    names: dict[str, list[str]] = {}
    for run in runs:
        if not run.evaluated:
            reason = failed(run, since) or "it was given up, and its folder has no room to say why"
            names.setdefault(reason, []).append(run.name)
    if names:
        told = "; ".join(f"{', '.join(of)}: {reason}" for reason, of in names.items())
        raise PIEError(f"{told}; run the same command to go on")
