#!/usr/bin/env python3
"""Carry out the Dockerfile's steps without a Docker engine, in a temporary folder that stands for the image's root.

    python3.12 scripts/emulate_docker_build.py                              # build, then `pie --version`
    python3.12 scripts/emulate_docker_build.py reproduce --profile quick    # build, then this command

A fresh virtual environment of the Python that runs this script stands for the base image's Python, and absolute paths
in the Dockerfile and in the command are taken to lie in the temporary folder. It takes some 6 GB in TMPDIR, and is
deleted at the end. What this cannot show: the base image, its system packages, other users, volumes, a GPU.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from fnmatch import fnmatchcase
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
NEEDS_ROOT = {"useradd", "groupadd", "chown", "apt-get"}
FROM_OUTSIDE = re.compile(r"PIP_\w+|SSL_\w+|\w+_proxy", re.IGNORECASE)  # how the package index is reached


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return each instruction with its arguments, in order; continued lines are joined and comments dropped."""
    code = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", code)
    split = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(word.upper(), arguments) for word, arguments in split]


def enters_build(path: str, dockerignore: str) -> bool:
    """Say whether the .dockerignore lets a file in: as in Docker, the last line that fits it or its folder decides."""
    names = [path, *(str(folder) for folder in Path(path).parents[:-1])]
    enters = True
    for line in dockerignore.splitlines():
        pattern = line.strip().removeprefix("!").rstrip("/")
        forms = () if line.startswith("#") else (pattern, pattern.removeprefix("**/"))
        if any(fnmatchcase(name, form) for name in names for form in forms):
            enters = line.startswith("!")
    return enters


class Emulation:
    """An image in the making: its root folder, environment and working folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root
        self.environment = {name: value for name, value in os.environ.items() if FROM_OUTSIDE.fullmatch(name)}
        self.environment |= {"PATH": f"{root}/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(root)}
        self.entrypoint: list[str] = []

    def inside(self, text: str) -> str:
        """Return `text` with its absolute paths moved into the root folder."""
        return re.sub(r"""(^|(?<=[\s="':]))/(?=\w)""", f"{self.root}/", text)

    def carry_out(self, word: str, arguments: str) -> None:
        """Carry out one instruction, and say so, or say that it is left out."""
        if word == "FROM":
            print(f"instead of {arguments}: Python {sys.version.split()[0]} in a fresh environment")
            venv.create(self.root / "usr/local", with_pip=True)
        elif word == "ENV":
            self.environment |= dict(pair.split("=", 1) for pair in shlex.split(self.inside(arguments)))
        elif word == "WORKDIR":
            self.folder = Path(self.inside(arguments))
            self.folder.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            *sources, target = arguments.split()
            self.copy(sources, self.folder / self.inside(target))
        elif word == "RUN":
            for command in arguments.split("&&"):
                self.run(command.strip())
        elif word == "ENTRYPOINT":
            self.entrypoint = json.loads(arguments)
        else:
            print(f"NOT RUN: {word} {arguments}")

    def copy(self, sources: list[str], target: Path) -> None:
        """Copy files, or the content of one folder, out of what Git does not ignore and .dockerignore lets in."""
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *sources]
        files = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
        ignore = (CHECKOUT / ".dockerignore").read_text()
        entering = [name for name in files if enters_build(name, ignore) and (CHECKOUT / name).is_file()]
        for name in entering:
            place = target / (name if name in sources else Path(name).relative_to(sources[0]))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, place)
        print(f"copied {len(entering)} file(s): {' '.join(sources)}")

    def run(self, command: str) -> None:
        """Run a shell command in the working folder, unless it needs the right to change the system."""
        if command.split()[0] in NEEDS_ROOT:
            print(f"NOT RUN: {command}")
            return
        print(f"$ {command}", flush=True)
        subprocess.run(["sh", "-c", self.inside(command)], cwd=self.folder, env=self.environment, check=True)


def main() -> None:
    """Build, then run the program with the given arguments."""
    with tempfile.TemporaryDirectory(prefix="pie-image-") as root:
        image = Emulation(Path(root).resolve())
        for word, arguments in instructions((CHECKOUT / "Dockerfile").read_text()):
            image.carry_out(word, arguments)
        image.run(shlex.join(image.entrypoint + (sys.argv[1:] or ["--version"])))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed with exit code {error.returncode}: {shlex.join(map(str, error.cmd))}")
