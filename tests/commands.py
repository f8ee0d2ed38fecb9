"""The command line in a process of its own, without the seconds that an interpreter takes for its imports."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

SMALL = "--latent-dim 4 --conv-width 4 --dense-width 16 --dense-depth 1 --couplings 1"  # a PIE that trains in seconds
TIMEOUT = 60.0  # seconds; a command that refuses takes a tenth of one, and one that trains a few

# The server has imported everything and computed nothing; each command runs in a fork of it.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "pytest",
        "tests.commands",
        "pie_cli.cli.app",
        "pie_cli.paper.reproduce",
        "pie_cli.paper.tables",
        "sklearn.datasets",
        "pydantic.type_adapter",
    ]
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
        process: the command's process.
        outputs: the pipes from its stdout and stderr.
    """

    process: BaseProcess
    outputs: tuple[Connection, Connection]

    def wait(self) -> Done:
        """Return what it leaves once it has ended."""
        self.process.join(TIMEOUT)
        code = self.process.exitcode
        self.process.kill()
        texts = []
        for output in self.outputs:  # the little that a command prints fits into the pipe
            with output, open(output.fileno(), "rb", buffering=0, closefd=False) as pipe:
                os.set_blocking(pipe.fileno(), False)
                texts.append((pipe.read(2**20) or b"").decode(errors="replace"))
        return Done(code, *texts)


def start(
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> Command:
    """Start `pie` in the folder `cwd`; `before`, which can be pickled, is called in the process first."""
    (stdout, out), (stderr, err) = _context.Pipe(duplex=False), _context.Pipe(duplex=False)
    process = _context.Process(target=_be, args=([*map(str, arguments)], cwd, environment or {}, before, out, err))
    with out, err:  # they belong to the process by then
        process.start()
    return Command(process, (stdout, stderr))


def run(*arguments: object, cwd: Path, before: Callable[[], object] | None = None) -> Done:
    """Run `pie` to its end."""
    return start(*arguments, cwd=cwd, before=before).wait()


def _be(
    arguments: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    before: Callable[[], object] | None,
    stdout: Connection,
    stderr: Connection,
) -> None:
    """Be the command."""
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    # New streams, since the server's were not pipes.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["pie", *arguments]
    if before is not None:
        before()
    from pie_cli.cli.app import main

    main()
