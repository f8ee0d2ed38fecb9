"""The command line in a process of its own, without the seconds that an interpreter takes to import what it needs."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

TIMEOUT = 60.0  # seconds, for what takes a tenth of one where it refuses, and a few where it trains

# The server has imported everything and computed nothing; each command is a fork of it.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["pytest", "tests.commands", "pie_cli.cli", "pie_cli.reproduce", "sklearn.datasets", "pydantic.type_adapter"]
)


@dataclass(frozen=True)
class Done:
    """What a process leaves: its exit code (None: it had to be killed), and what it wrote."""

    code: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Command:
    """`pie` with these arguments, running.

    Arguments:
        process: of the command.
        output: folder of the files stdout and stderr.
    """

    process: BaseProcess
    output: tempfile.TemporaryDirectory[str]

    def wait(self) -> Done:
        """Return what it leaves once it has ended."""
        self.process.join(TIMEOUT)
        code = self.process.exitcode
        self.process.kill()
        with self.output as folder:
            texts = [(Path(folder) / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        return Done(code, *texts)


def start(
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> Command:
    """Start `pie` in the folder `cwd`; `before`, which can be pickled, is called in the process first."""
    output = tempfile.TemporaryDirectory()
    process = _context.Process(target=_be, args=([*map(str, arguments)], cwd, environment or {}, before, output.name))
    process.start()
    return Command(process, output)


def run(*arguments: object, cwd: Path, before: Callable[[], object] | None = None) -> Done:
    """Run `pie` to its end."""
    return start(*arguments, cwd=cwd, before=before).wait()


def _be(
    arguments: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    before: Callable[[], object] | None,
    output: str,
) -> None:
    """Be the command."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(output) / name, os.O_WRONLY | os.O_CREAT, 0o666), descriptor)
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["pie", *arguments]
    if before is not None:
        before()
    from pie_cli.cli import main

    main()
