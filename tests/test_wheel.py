"""The files of a release, built from a clean clone of the last commit, and used where nothing else is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.commands import SMALL

CHECKOUT = Path(__file__).resolve().parents[1]
FROM_OUTSIDE = ("PYTHON", "PIP_", "VIRTUAL_ENV")  # variables that could let the checkout in


def call(*command: object, cwd: Path) -> str:
    """Return what a command prints, run in the folder `cwd` and without this environment's variables for Python."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(FROM_OUTSIDE)}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project(source: Path) -> dict[str, Any]:
    """Return what a source tree's pyproject.toml says of the project."""
    found: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def stem(source: Path) -> str:
    """Return how the names of a release's files begin."""
    return f"pseudo_invertible_encoder-{project(source)['version']}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone. What is not committed is not in it."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("there is no repository to clone")
    folder = tmp_path_factory.mktemp("clone")
    call("git", "clone", "--quiet", CHECKOUT, folder, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(clone, tmp_path_factory.mktemp("wheel"))


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of a source tree without a network, by the hatchling of this environment."""
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index")
    call(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", target, source, cwd=target)
    (wheel,) = target.iterdir()
    assert wheel.name == f"{stem(source)}-py3-none-any.whl"
    return wheel


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_has_the_package_the_showcase_and_the_licence_alone(clone: Path, wheel: Path) -> None:
    listed = call("git", "ls-files", "pie_cli", "results/showcase", cwd=clone).splitlines()
    expected = {name.replace("results/showcase", "pie_cli/showcase"): (clone / name).read_bytes() for name in listed}
    files = contents(wheel)
    facts = {name for name in files if name.startswith(f"{stem(clone)}.dist-info/")}
    assert {name: content for name, content in files.items() if name not in facts} == expected
    assert {"pie_cli/py.typed", "pie_cli/showcase/weights.safetensors", "pie_cli/showcase/config.json"} <= set(expected)
    assert files[f"{stem(clone)}.dist-info/licenses/LICENSE"] == (clone / "LICENSE").read_bytes()


def test_the_sdist_has_the_sources_and_builds_the_same_wheel(clone: Path, wheel: Path, tmp_path: Path) -> None:
    call(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path / "sdist", cwd=clone)
    with tarfile.open(tmp_path / "sdist" / f"{stem(clone)}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / stem(clone)
    for name in ("tests/conftest.py", "bench/__main__.py", "studies/__main__.py", "docs/USAGE.md", "CHANGELOG.md"):
        assert (source / name).exists()
    (tmp_path / "wheel").mkdir()
    assert contents(build_wheel(source, tmp_path / "wheel")) == contents(wheel)


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel; its dependencies are those of the running one.

    A .pth file names the folders that they lie in. Python reads no .pth file there, so an editable checkout stays out.
    """
    environment = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(environment)
    windows = sys.platform == "win32"
    programs = environment / ("Scripts" if windows else "bin")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install", "--disable-pip-version-check")
    call(*pip, "--quiet", "--no-index", "--no-deps", wheel, cwd=environment)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / ("Lib" if windows else f"lib/{version}") / "site-packages"
    folders = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "dependencies.pth").write_text("\n".join(folders), encoding="utf-8")
    return programs


def test_the_program_is_the_wheels(clone: Path, programs: Path, tmp_path: Path) -> None:
    said = "import pie_cli; print(pie_cli.__file__); print(pie_cli.__version__)"
    file, version = call(programs / "python", "-c", said, cwd=tmp_path).splitlines()
    assert Path(file).is_relative_to(programs.parent)
    assert version == project(clone)["version"]
    assert version in call(programs / "pie", "--version", cwd=tmp_path)


def test_a_user_samples_before_anything_is_trained(programs: Path, tmp_path: Path) -> None:
    assert "the trained one that comes with the program" in call(programs / "pie", "sample", cwd=tmp_path)
    assert (tmp_path / "results" / "showcase" / "figures").is_dir()


def test_a_user_trains(programs: Path, tmp_path: Path) -> None:
    call(programs / "pie", "train", "--dataset", "digits", "--epochs", 1, *SMALL.split(), cwd=tmp_path)
    assert len(list(tmp_path.glob("results/*/weights.safetensors"))) == 1


def test_a_user_decodes_in_python(programs: Path, tmp_path: Path) -> None:
    said = "import torch; from pie_cli import load_showcase; print(*load_showcase().decode(torch.zeros(2, 10)).shape)"
    assert call(programs / "python", "-c", said, cwd=tmp_path).split() == ["2", "1", "28", "28"]


def test_documents_and_workflows_name_the_version_and_the_versions_of_python() -> None:
    def text(name: str) -> str:
        return (CHECKOUT / name).read_text(encoding="utf-8")

    facts = project(CHECKOUT)
    version = facts["version"]
    assert f"\nversion: {version}\n" in text("CITATION.cff")
    released = re.search(rf"^## {re.escape(version)} — (\S+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert released
    assert f"\ndate-released: {released[1]}\n" in text("CITATION.cff")
    assert f"{stem(CHECKOUT)}-py3-none-any.whl" in text("README.md")
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(facts["classifiers"]))
    assert facts["requires-python"] == f">={pythons[0]}"
    assert f">{pythons[0]} – {pythons[-1]}<" in text("docs/badges/python.svg")
    if (CHECKOUT / ".github").exists():  # a release's sources have none
        assert all(f'"{one}"' in text(".github/workflows/tests.yml") for one in pythons)
