"""What the benchmark's commands share: their options, and errors on one line."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from pie_cli.cli.console import in_options
from pie_cli.errors import FolderError, PIEError


def options_from(description: str | None, output: Path, repeats: int, **folders: str) -> argparse.Namespace:
    """Return the command line's options, and set torch's threads.

    `folders` are options that take a folder, with their help; without one they are None. The others are `device`, a
    torch.device; `threads`, None for torch's own number; `repeats`; `output`, the page to write; and `command`, as the
    user typed it. A wrong option ends the program with one line and exit code 2.
    """
    module = Path(sys.argv[0]).with_suffix("")
    name = "bench" if module.name == "__main__" else f"bench.{module.name}"
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(f"python -m {name}", description=description, formatter_class=formatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="on the CPU; torch's own number by default")
    parser.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=output, help="default: %(default)s")
    for name, about in folders.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=about)
    options = parser.parse_args()
    if options.repeats < 1 or (options.threads is not None and options.threads < 1):
        parser.error("--repeats and --threads must be at least 1")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here")
    options.device = torch.device(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        threadpool_limits(options.threads)  # NumPy's products have threads of their own
    options.command = shlex.join([*parser.prog.split(), *sys.argv[1:]])
    return options


def run_as_command(main: Callable[[], None]) -> None:
    """Call `main`; an error that the user can fix becomes one line on stderr and an exit code."""
    try:
        main()
    except ModuleNotFoundError as error:
        print(f"error: {error}; the benchmark needs: pip install -e '.[bench]'", file=sys.stderr)
        sys.exit(1)
    except PIEError as error:
        advice = " with --output" if isinstance(error, FolderError) else ""
        print(f"error: {in_options(str(error))}{advice}", file=sys.stderr)
        sys.exit(error.exit_code)
