"""Models for other tools: what they compute there is what the program computes, or nothing is written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pie_cli import PIE, VAE, WAE, PIEConfig, VAEConfig, WAEConfig, load_model, save_model
from pie_cli.models.base import Autoencoder
from pie_cli.share import export_onnx
from tests import commands, damage, made_up
from tests.conftest import Call, randomise
from tests.test_failing_files import assert_one_line, full_at

ROOT = Path(__file__).resolve().parents[1]


def started(model: PIE) -> PIE:
    """Return a model with constant rotations, as a training starts with."""
    model.start_from_data(torch.rand(100, *model.image_shape))
    return model


# A convolutional block and two linear ones: tracing takes its time for each bijection.
SIZES: dict[str, Any] = {**made_up.SIZES, "linear_dims": (), "latent_dim": 3}
MODELS: dict[str, Callable[[], Autoencoder]] = {
    "pie": lambda: randomise(PIE(PIEConfig(image_shape=(1, 8, 8), conv_blocks=1, **SIZES)), 0.1),
    "colour": lambda: started(randomise(PIE(PIEConfig(image_shape=(3, 16, 16), conv_blocks=1, **SIZES)), 0.05)),
    "vae": lambda: VAE(VAEConfig(image_shape=(1, 8, 8), latent_dim=3, width=4)),
    "wae": lambda: WAE(WAEConfig(image_shape=(3, 64, 64), latent_dim=3, width=4)),
}


def saved(name: str) -> Autoencoder:
    """Write a model of `MODELS` into a folder of its name, and return it as it is read from there."""
    save_model(MODELS[name](), name)
    return load_model(name).requires_grad_(False)


def code_of(readme: Path) -> str:
    """Return the Python in a README.md."""
    return "".join(re.findall(r"^```python\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))


def difference_printed(printed: str) -> float:
    (said,) = re.findall(r"^largest difference from the model: (\S+)$", printed, re.MULTILINE)
    return float(said)


@pytest.mark.parametrize("name", ["colour", "wae"])
def test_onnxruntime_computes_the_same(name: str, run: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The code beside the graphs runs, on a batch of a size that no check has seen."""
    model = saved(name)
    code, printed, errors = run(f"export {name} --to onnx -o out")
    assert (code, errors) == (0, "")
    assert difference_printed(printed) <= 1e-4
    exact = ["decode_exact.onnx", "encode_exact.onnx"] * isinstance(model, PIE)
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["README.md", "decode.onnx", "encode.onnx", *exact]
    )
    monkeypatch.chdir("out")
    found: dict[str, Any] = {}
    exec(code_of(Path("README.md")), found)
    images = torch.from_numpy(found["images"])
    assert len(images) == 5
    z = model.encode(images)
    torch.testing.assert_close(torch.from_numpy(found["z"]), z, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(found["decoded"]), model.decode(z), atol=1e-4, rtol=1e-4)
    if exact:
        torch.testing.assert_close(torch.from_numpy(found["again"]), images, atol=1e-4, rtol=0)
        assert np.abs(found["decoded"] - found["images"]).max() > 1e-2  # which z alone does not do
    for path in Path().iterdir():
        assert str(ROOT).encode() not in path.read_bytes(), "a folder of this machine is told"


WITHOUT_THE_PROGRAM = """
import sys

class Blocking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pie_cli":
            raise ImportError("there is no pie_cli here")

sys.meta_path.insert(0, Blocking())
sys.modules.pop("pie_cli", None)
try:
    import pie_cli
except ImportError:
    import os
    import torch
    from safetensors.torch import save_file
    for name in sys.argv[1:]:
        os.chdir(name)
        torch.manual_seed(0)
        code = open("README.md", encoding="utf-8").read().split("```python")[1].split("```")[0]
        found = {}
        exec(code, found)
        kept = {key: found[key].contiguous() for key in ("images", "z", "decoded", "again") if key in found}
        save_file(kept, "found.safetensors")
        os.chdir("..")
    assert not any(name.startswith("pie_cli") for name in sys.modules)
"""


def test_torch_computes_the_same_without_this_program(run: Call) -> None:
    """In a fresh interpreter that cannot import it."""
    models = {name: saved(name) for name in ("pie", "vae")}
    for name in models:
        code, printed, errors = run(f"export {name} --to torch -o out-{name}")
        assert (code, errors) == (0, "")
        assert difference_printed(printed) <= 1e-5
        for path in Path(f"out-{name}").iterdir():
            assert str(ROOT).encode() not in path.read_bytes(), "a folder of this machine is told"
    command = [sys.executable, "-I", "-c", WITHOUT_THE_PROGRAM, *(f"out-{name}" for name in models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        found = load_file(f"out-{name}/found.safetensors")
        torch.testing.assert_close(found["z"], model.encode(found["images"]))
        torch.testing.assert_close(found["decoded"], model.decode(found["z"]))
        if isinstance(model, PIE):
            torch.testing.assert_close(found["again"], found["images"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrong", [2e-4, float("nan")])
def test_a_runtime_that_does_not_agree(wrong: float, run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("vae")
    runtime = export_onnx.runtime

    def off(*arguments: Any) -> Any:
        compute = runtime(*arguments)
        return lambda *inputs: [result + wrong for result in compute(*inputs)]

    monkeypatch.setattr(export_onnx, "runtime", off)
    code, printed, errors = run("export vae --to onnx -o out")
    assert (code, printed) == (1, "")
    said = f"results are {'0.0002' if wrong == wrong else 'nan'} away, and 0.0001 is the most; it is not kept\n"
    assert errors == f"error: the exported encode does not compute what the model does: {said}"
    assert [path.name for path in Path().iterdir()] == ["vae"]


def test_an_exporter_that_fails(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    saved("vae")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("an operator\nis missing")

    monkeypatch.setattr(torch.onnx, "export", fail)
    code, _, errors = run("export vae --to onnx -o out")
    assert (code, errors) == (
        1,
        "error: encode of this model cannot be exported: an operator is missing; nothing was written\n",
    )
    assert not Path("out").exists()


def test_without_the_extra(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_onnx, "find_spec", lambda name: None)
    code, _, errors = run("export nowhere --to onnx -o out")
    assert (code, errors) == (2, "error: --to onnx needs the extra: pip install 'pseudo-invertible-encoder[onnx]'\n")


@pytest.mark.parametrize("to", ["onnx", "torch", "hub"])
@pytest.mark.parametrize("harm", [damage.flip, damage.infinite])
def test_a_damaged_run(to: str, harm: Callable[[Path], None], run: Call) -> None:
    made_up.run(Path("own"))
    harm(Path("own/weights.safetensors"))
    code, _, errors = run(f"export own --to {to} -o out")
    assert (code, errors.count("\n")) == (1, 1)
    assert "own/weights.safetensors is" in errors
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ("export own --to tflite -o out", 2, "'--to': 'tflite' is not one of 'onnx', 'torch', 'hub'"),
        ("export own --to hub", 2, "Missing option '--output'"),
        ("export own -o out", 2, "Missing option '--to'"),
        ("export nowhere --to hub -o out", 1, "nowhere is not a run folder"),
        ("export own --to hub -o own", 2, "own exists and is not an empty folder; choose another one with --output"),
        ("export own --to hub -o own/config.json", 2, "exists and is not an empty folder"),
        ("export own --to torch -o out --licence mit", 2, "--licence is for --to hub"),
        ("export own --to hub -o out --licence My:Own", 2, "--licence 'My:Own' is not as the Hub writes them"),
        ("export own --to hub -o /proc/new", 1, "cannot write /proc/new"),
        ("sample own --format gif", 2, "'--format': 'gif' is not one of 'figure', 'png'"),
        (
            "sample four --format png --count 2",
            2,
            "--format png has images of 1 or 3 channels, and those of four have 4",
        ),
    ],
)
def test_mistakes(typed: str, code: int, words: str, run: Call) -> None:
    made_up.run(Path("own"))
    made_up.run(Path("four"), shape=(4, 8, 8))
    before = sorted(Path().rglob("*"))
    found, printed, errors = run(typed)
    assert (found, printed, errors.count("\n")) == (code, "", 1)
    assert words in errors
    assert sorted(Path().rglob("*")) == before


def test_a_full_disk(tmp_path: Path) -> None:
    save_model(MODELS["vae"](), tmp_path / "own")
    for to in ("torch", "hub"):
        done = commands.run("export", "own", "--to", to, "-o", "out", cwd=tmp_path, before=partial(full_at, 5_000))
        assert_one_line(
            done, "cannot write out: File too large; free some space or choose another folder with --output"
        )
    done = commands.run("sample", "own", "--format", "png", cwd=tmp_path, before=partial(full_at, 10))
    assert_one_line(done, "cannot write own/figures/samples_40_variance1_seed0: File too large", "--figures-dir")
    assert [path.name for path in tmp_path.rglob("*") if "out" in path.name or "samples" in path.name] == []
