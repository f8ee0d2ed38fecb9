"""Where a number comes from: versions, commit, machine and command."""

import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pie_cli.io.text import one_line

_PACKAGES = ("torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn", "umap-learn", "matplotlib")


def package_version() -> str:
    """Return this project's version."""
    try:
        return version("pseudo-invertible-encoder")
    except PackageNotFoundError:
        return "unknown"


def command_line() -> str:
    """Return the command as the user wrote it, on one line, without the path of the program; a script has its path."""
    script = sys.argv[0].endswith(".py") and not sys.argv[0].endswith("__main__.py")
    return one_line(shlex.join([*(["python", sys.argv[0]] if script else ["pie"]), *sys.argv[1:]]))


@cache
def git_commit() -> str | None:
    """Return the commit of the source tree, with "+dirty" if the package's files differ; None outside a checkout."""
    folder = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=folder, stderr=subprocess.PIPE, text=True).strip()

    try:
        if not (folder / ".git").exists():
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "pie_cli")
        return git("rev-parse", "HEAD") + ("+dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def short_commit(commit: str) -> str:
    """Return the first seven digits of what `git_commit` returned, with its "+dirty" if there is one."""
    return commit[:7] + commit[40:]


def processor() -> str:
    """Return the CPU's name, or its architecture if the system does not tell the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory_mib() -> int | None:
    """Return the largest resident size of this process so far, in MiB; None if the system does not tell it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Return the facts that are recorded with a result."""
    return {
        "command": command_line(),
        "version": package_version(),
        "commit": git_commit(),
        "device": device,
        "processor": processor(),
        "threads": threads,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "peak_memory_mib": peak_memory_mib(),
    }
