"""The command line as a user's process, without the seconds that a fresh interpreter takes to import torch."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_warm = multiprocessing.get_context("forkserver")
_warm.set_forkserver_preload([
    "pytest", "tests.commands", "pie_cli.reproduce", "torchvision", "sklearn.datasets", "torch.utils._foreach_utils"
])  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a finished process leaves."""

    code: int | None
    stdout: str
    stderr: str


def _run(
    arguments: list[str], folder: Path, environment: Mapping[str, str], before: Callable[[], object] | None
) -> None:
    """Be the command: in a process of its own, forked from one that has imported everything and computed nothing."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o666), descriptor)
    os.environ.update(environment)
    sys.argv = ["pie", *arguments]
    if before:
        before()
    from pie_cli.cli import main

    main()


def run(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
    timeout: float = 30,
) -> Done:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = _warm.Process(target=_run, args=([*map(str, arguments)], folder, environment or {}, before))
        process.start()
        process.join(timeout)
        process.kill()
        return Done(process.exitcode, (folder / "stdout").read_text(), (folder / "stderr").read_text())
