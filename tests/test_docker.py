"""The Docker image, as far as it can be checked without an engine: lint, build context, and the commands it starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

from pie_cli.cli import app as cli
from scripts.emulate_docker_build import enters_build, instructions

CHECKOUT = Path(__file__).parent.parent
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
LOCK = (CHECKOUT / "requirements.lock").read_text()
DOCKERIGNORE = (CHECKOUT / ".dockerignore").read_text()


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


def test_nothing_unlocked_enters_the_image() -> None:
    """Every install is of hashed files or of this folder; every dependency and the build's tool are locked."""
    installs = [step for arguments in arguments_of("RUN") for step in arguments.split("&&") if "pip install" in step]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--no-build-isolation" in installs[1]
    locked = re.findall(r"^([\w.-]+)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", LOCK, re.MULTILINE)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    assert {re.split(r"[<>=]", requirement)[0] for requirement in wanted} <= set(locked)
    assert all(re.match(r"[\w.-]+==|    --hash=sha256:[0-9a-f]{64}|\s*#", line) for line in LOCK.splitlines())


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert arguments_of("USER") == ["1000"]


def test_entrypoint_and_command_exist() -> None:
    (entrypoint,), (default,) = arguments_of("ENTRYPOINT"), arguments_of("CMD")
    (program,) = json.loads(entrypoint)
    assert program in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    name, *options = json.loads(default)
    command = typer.main.get_group(cli.app).commands[name]
    assert command.make_context(name, options).params["profile"] == "paper"
