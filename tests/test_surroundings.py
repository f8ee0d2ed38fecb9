"""What surrounds the program: a user's configuration, torch's defaults, a home, another system, foreign folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from pie_cli import PIEError, load_model
from pie_cli.data.load import default_data_dir
from pie_cli.errors import UsageError
from pie_cli.metrics import embedding
from pie_cli.plots import figures
from pie_cli.runs.find import SHOWCASE
from pie_cli.runtime import keep_compiled_code
from tests.commands import SMALL, run
from tests.conftest import call

# Figures

HOSTILE: Any = {
    "image.origin": "lower",
    "axes.grid": True,
    "savefig.dpi": 33,
    "figure.dpi": 41,
    "savefig.bbox": "tight",
    "font.size": 31.0,
    "axes.formatter.use_locale": True,
    "axes.prop_cycle": "cycler(color=['red'])",
    "figure.facecolor": "green",
    "lines.linewidth": 9.0,
    "pdf.compression": 0,
    "text.antialiased": False,
}
IMAGES = np.linspace(-0.2, 1.2, 2 * 3 * 64, dtype=np.float32).reshape(2, 3, 1, 8, 8)
POINTS, LABELS = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32), np.arange(50) % 10
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [3.0, 2], "val_loss": [3.5, 2.5], "val_mse": [0.3, 0.2]})
COLUMN = dict.fromkeys(("reconstructions", "samples", "narrow", "interpolations"), IMAGES) | {"plane": POINTS}
DRAWN: dict[str, Callable[[], Figure]] = {
    "image_grid": lambda: figures.image_grid(IMAGES, "title", ["one", "two"]),
    "embedding": lambda: figures.embedding(POINTS, LABELS, "title"),
    "learning_curve": lambda: figures.learning_curve(HISTORY, "title"),
    "sharpness": lambda: figures.sharpness([POINTS[:, 0], POINTS[:, 1]], list(IMAGES), ["true", "PIE"], "title"),
    "figure_7": lambda: figures.figure_7([COLUMN, COLUMN], LABELS, ["one", "two"]),
    "panels": lambda: figures.panels([IMAGES, IMAGES], ["one", "two"]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_bytes_whatever_the_user_configured(name: str, tmp_path: Path) -> None:
    def files(stem: str) -> list[bytes]:
        return [path.read_bytes() for path in figures.save(DRAWN[name](), tmp_path / stem)]

    plain = files("plain")
    with mpl.rc_context(HOSTILE):
        assert files("hostile") == plain
        assert mpl.rcParams["image.origin"] == "lower"  # and the user's own stays
    with mpl.style.context("dark_background"):
        assert files("dark") == plain
    for public in vars(figures).values():  # every function that returns a figure is among them
        if getattr(public, "__annotations__", {}).get("return") is Figure:
            assert public.__name__ in DRAWN


def test_a_command_heeds_neither_matplotlibrc_nor_backend(tmp_path: Path) -> None:
    """A notebook's backend is unknown outside the notebook."""
    (tmp_path / "matplotlibrc").write_text("image.origin: lower\naxes.grid: True\nsavefig.dpi: 33\n")
    hostile = {"MATPLOTLIBRC": str(tmp_path), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    pictures = []
    for name, environment in (("plain", {}), ("hostile", hostile)):
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pie_cli",
            "sample",
            "--count",
            "6",
            "--results-dir",
            tmp_path / name,
        ]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = sorted((tmp_path / name).rglob("*.*"))
        pictures.append({path.name: path.read_bytes() for path in found})
    assert len(pictures[0]) == 3
    assert pictures[0] == pictures[1]


# torch's defaults and modes


@contextmanager
def defaulting(dtype: torch.dtype = torch.float32, device: str = "cpu") -> Iterator[None]:
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "float64": lambda: defaulting(torch.float64),
    "bfloat16": lambda: defaulting(torch.bfloat16),
    "another device": lambda: defaulting(device="meta"),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("mode", MODES)
def test_loading_depends_on_nothing_global(mode: str) -> None:
    plain = load_model(SHOWCASE)
    torch.manual_seed(3)
    with MODES[mode]():
        model = load_model(SHOWCASE)
    after = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(3))  # no random number was drawn
    expected = plain.state_dict()
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == expected[name].dtype
        assert tensor.device.type == "cpu"
        assert tensor.stride() == expected[name].stride()
        assert torch.equal(tensor, expected[name])
    model.encode(torch.rand(2, 1, 28, 28)).sum().backward()  # it can be trained on
    assert any(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("mode", ["float64", "another device"])
def test_samples_of_a_seed_depend_on_no_default(mode: str) -> None:
    model = load_model(SHOWCASE)
    samples = []
    for context in (nullcontext, MODES[mode]):
        with context():
            samples.append(model.sample(2, generator=torch.Generator("cpu").manual_seed(3)))
    assert torch.equal(*samples)
    assert samples[0].numpy().dtype == np.float32  # and they carry no gradient


# The user's home


def compiling(home: str) -> None:
    """Compile with numba when it may not write beside UMAP, as in an installation that is closed to the user."""
    from numba.core import caching

    setattr(caching.InTreeCacheLocator, "from_function", lambda *_: None)  # noqa: B010
    os.environ["HOME"] = home
    umap = embedding._umap()
    distance = umap.fit.__globals__["dist"].euclidean
    assert distance(np.zeros(2, np.float32), np.ones(2, np.float32)) == pytest.approx(2**0.5)


# One that cannot be made, and one that stands for none.
@pytest.mark.parametrize("home", ["/dev/null/none", pytest.param("~", marks=pytest.mark.slow)])
def test_umap_compiles_without_a_home(home: str, tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path, before=partial(compiling, home))
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())  # no folder called "~"


def test_data_have_no_folder_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UsageError, match="data_dir"):
        default_data_dir()


@pytest.mark.parametrize(("cache", "kept"), [("cache", True), ("/dev/null/none", False)])
def test_compiled_code_is_kept_where_it_can_be(
    cache: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "TORCHINDUCTOR_CACHE_DIR"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.abspath(cache))
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    keep_compiled_code()
    assert os.environ.get(name) == (str(tmp_path / "cache/pie/compiled") if kept else None)
    os.environ[name] = "mine"
    keep_compiled_code()
    assert os.environ[name] == "mine"


# Another system

ELSEWHERE = """
    import builtins, os, signal, sys
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGALRM", "alarm", "setitimer", "pthread_kill"):
        delattr(signal, name)
    for name in ("fork", "sched_getaffinity", "killpg", "setsid"):
        delattr(os, name)
    plain = builtins.__import__
    def as_on_windows(name, globals=None, *rest, **named):
        ours = (globals or {}).get("__name__", "").startswith("pie_cli")
        if ours and name in ("resource", "fcntl", "termios", "pwd", "grp"):
            raise ImportError(name)
        return plain(name, globals, *rest, **named)
    builtins.__import__ = as_on_windows
    from pie_cli.cli.app import main
    main()
"""


def test_it_trains_without_what_windows_lacks(tmp_path: Path) -> None:
    options = f"--dataset digits --epochs 1 {SMALL}"
    command: list[str | Path] = [
        sys.executable,
        "-c",
        textwrap.dedent(ELSEWHERE),
        "train",
        *options.split(),
        "--results-dir",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(next(tmp_path.rglob("provenance.json")).read_text())
    assert facts["peak_memory_mib"] is None
    assert len(list(tmp_path.rglob("learning_curve.*"))) == 2


# Other folders


def test_a_foreign_folder_is_left_out_of_an_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"bert": '{"model_type": "bert"}', "empty": "", "list": "[]"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    code, printed, errors = call(f"evaluate --dataset digits --results-dir {tmp_path}", capsys, monkeypatch)
    assert code == 1
    assert "there is no finished run in" in errors  # which it would say of an empty folder too
    for name in ("bert", "empty", "list"):
        assert printed.count(f"left out: {tmp_path / name / 'config.json'} cannot be understood") == 1


def test_figures_go_where_the_user_may_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHOWCASE, tmp_path / "run", ignore=shutil.ignore_patterns("figures"))
    (tmp_path / "run" / "figures").write_text("")  # no folder can be made here, not even by root
    code, _, errors = call(f"sample {tmp_path / 'run'} --count 2", capsys, monkeypatch)
    assert code == 1
    assert errors.endswith("choose another folder with --figures-dir\n")
    assert errors.count("\n") == 1
    elsewhere = tmp_path / "some" / "where"
    code, printed, errors = call(f"sample {tmp_path / 'run'} --count 2 --figures-dir {elsewhere}", capsys, monkeypatch)
    assert code == 0, errors
    assert len(list(elsewhere.iterdir())) == 3
    assert str(elsewhere / "samples_2_variance1.png") in printed


def test_the_errors_of_a_library_name_no_option(tmp_path: Path) -> None:
    with pytest.raises(PIEError) as error:
        load_model(tmp_path)
    assert "--" not in str(error.value)
