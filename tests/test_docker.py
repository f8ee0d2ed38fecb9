"""The Docker image, as far as it can be checked without a build: lint, context, what is installed, what it starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import typer.main

from pie_cli.cli import app as cli

CHECKOUT = Path(__file__).parent.parent
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
LOCK = (CHECKOUT / "requirements.lock").read_text()
DOCKERIGNORE = (CHECKOUT / ".dockerignore").read_text()
INDEX = "https://download.pytorch.org/whl/cpu"

linux = pytest.mark.skipif(sys.platform != "linux", reason="runs the shell commands of an image for Linux")


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


def locked(lock: str) -> list[str]:
    """Return the names of the packages that a lock file gives a version and a hash."""
    return re.findall(r"^([\w.-]+)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)


def arguments_of(word: str) -> list[str]:
    """Return the arguments of every such instruction."""
    return [arguments for name, arguments in instructions(DOCKERFILE) if name == word]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    assert hadolint.exists(), "pip install -e '.[dev]' brings hadolint"
    done = subprocess.run([hadolint, "-"], input=DOCKERFILE, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "results/run/weights.safetensors", "pie_cli/__pycache__/a.pyc", ".env"]
)
def test_results_environment_and_history_stay_out_of_the_build(path: str) -> None:
    assert not enters_build(path, DOCKERIGNORE)


def test_what_is_copied_enters_the_build() -> None:
    sources = [source for arguments in arguments_of("COPY") for source in arguments.split()[:-1]]
    assert sources
    for source in sources:
        assert (CHECKOUT / source).exists()
        assert enters_build(source, DOCKERIGNORE)
    assert enters_build("pie_cli/cli/app.py", DOCKERIGNORE)


def test_the_dependencies_have_a_layer_that_code_does_not_renew() -> None:
    steps = [arguments for _, arguments in instructions(DOCKERFILE)]
    dependencies = next(place for place, step in enumerate(steps) if "--requirement requirements.lock" in step)
    assert dependencies < steps.index("pie_cli pie_cli")


def test_everything_that_is_wanted_is_locked() -> None:
    """Every dependency and the build's tool are in the lock, and each line there is a version or a hash."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in wanted} <= set(locked(LOCK))
    assert all(re.match(r"[\w.-]+==|    --hash=sha256:[0-9a-f]{64}|\s*#", line) for line in LOCK.splitlines())


def installs(folder: Path, torch: str) -> list[str]:
    """Carry out the Dockerfile's installing steps in `folder`; return the arguments of each `pip install`."""
    stand_in(folder / "pip", f'echo "$@" >> {folder}/calls')
    stand_in(folder / "pie", "")
    (folder / "requirements.lock").write_text(LOCK)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "TORCH": torch}
    for step in arguments_of("RUN"):
        if "pip install" in step:
            subprocess.run(["sh", "-c", step], cwd=folder, env=environment, capture_output=True, timeout=60, check=True)
    return (folder / "calls").read_text().splitlines()


def stand_in(program: Path, script: str) -> None:
    """Write a program that only does `script`."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@linux
def test_nothing_unlocked_enters_the_image(tmp_path: Path) -> None:
    """Every install is of hashed files or of this folder."""
    first, second = installs(tmp_path, "cuda")
    assert first.endswith("--require-hashes --requirement requirements.lock")
    assert (tmp_path / "requirements.lock").read_text() == LOCK
    assert "--no-deps" in second
    assert "--no-build-isolation" in second


@linux
def test_the_cpu_image_has_the_locked_packages_without_cuda(tmp_path: Path) -> None:
    """Only torch and torchvision come without a locked hash, but of the locked version, from PyTorch's index."""
    torch, *others = installs(tmp_path, "cpu")
    assert torch.endswith(f"--no-deps --index-url {INDEX} --requirement torch.txt")
    versions = (tmp_path / "torch.txt").read_text().split()
    assert versions == re.findall(r"^(?:torch|torchvision)==\S+", LOCK, re.MULTILINE)
    assert len(versions) == 2
    (tmp_path / "cuda").mkdir()
    assert others == installs(tmp_path / "cuda", "cuda")
    left_out = [name for name in locked(LOCK) if re.match(r"(cuda|nvidia)-|triton$", name)]
    assert len(left_out) > 10
    rest = (tmp_path / "requirements.lock").read_text()
    assert locked(rest) == [name for name in locked(LOCK) if name not in left_out]


@linux
def test_another_torch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        installs(tmp_path, "gpu")
    assert failure.value.stderr == b"TORCH is cuda or cpu, not 'gpu'\n"
    assert not (tmp_path / "calls").exists()


def make_image(folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make image` where no programs are but those in `folder`."""
    make, date = shutil.which("make"), shutil.which("date")
    if not make or not date:
        pytest.skip("there is no make")
    (folder / "date").symlink_to(date)
    command = [make, "--no-print-directory", "image", *variables]
    return subprocess.run(
        command, cwd=CHECKOUT, env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False
    )


@linux
def test_make_image_takes_the_first_builder_that_answers(tmp_path: Path) -> None:
    stand_in(tmp_path / "docker", "echo no engine >&2; exit 1")
    stand_in(tmp_path / "podman", 'echo podman "$@"')
    stand_in(tmp_path / "buildah", 'echo buildah "$@"')
    done = make_image(tmp_path, "TORCH=cpu", "IMAGE_FLAGS=--network host")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "podman build --build-arg TORCH=cpu --tag pie --tag pie:cpu --network host .\n"


@linux
def test_make_image_without_a_builder_says_so_in_one_line(tmp_path: Path) -> None:
    done = make_image(tmp_path)
    line, of_make = done.stderr.splitlines()
    assert done.returncode == 2
    assert line == "no image builder answers here: docker podman buildah"
    assert "***" in of_make


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert arguments_of("USER") == ["1000"]


def test_everything_is_written_to_the_volumes() -> None:
    (environment,), (volumes,) = arguments_of("ENV"), arguments_of("VOLUME")
    assert json.loads(volumes) == ["/app/results", "/cache"]
    assert {"HOME=/cache", "XDG_CACHE_HOME=/cache", "TMPDIR=/cache"} <= set(environment.split())


def test_entrypoint_and_command_exist() -> None:
    (entrypoint,), (default,) = arguments_of("ENTRYPOINT"), arguments_of("CMD")
    (program,) = json.loads(entrypoint)
    assert program in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    name, *options = json.loads(default)
    command = typer.main.get_group(cli.app).commands[name]
    assert command.make_context(name, options).params["profile"] == "paper"
