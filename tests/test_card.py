"""The repository of a hub that `pie export` writes, and the card of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pie_cli import PIEConfig, load_model
from pie_cli.config.run import RunConfig, TrainingConfig
from pie_cli.data.base import DataConfig
from pie_cli.evaluation import cache
from pie_cli.models.registry import build_model
from pie_cli.runs.folder import SHARED_WEIGHTS, Run
from pie_cli.share.card import card
from pie_cli.share.page_facts import settings
from tests import made_up
from tests.conftest import Call

ROOT = Path(__file__).resolve().parents[1]


def of_own_images(folder: Path, classes: tuple[str, ...] | None, name: str = "my cats") -> Run:
    """Return an untrained run of images of one's own, at a place that is nobody's business."""
    sizes: dict[str, Any] = made_up.SIZES
    config = RunConfig(
        PIEConfig(image_shape=(3, 64, 64), latent_dim=2, **sizes),
        TrainingConfig(dataset=name, epochs=3),
        data=DataConfig(sha256="ab" * 32, classes=classes, image_size=64, pad=True),
        images="/home/somebody/private",
    )
    run = Run(folder, config)
    run.create()
    run.save_weights(build_model(config.model))
    return run


def test_the_folder_is_a_run_and_tells_no_place(run: Call) -> None:
    own = of_own_images(Path("own"), None)
    code, printed, errors = run("export own --to hub -o out")
    assert (code, errors) == (0, "")
    assert printed.split() == ["wrote", "out/README.md", "wrote", "out/config.json", "wrote", f"out/{SHARED_WEIGHTS}"]
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(load_model("out").encode(x), own.load_model().encode(x))
    for path in Path("out").iterdir():
        assert b"somebody" not in path.read_bytes()
    assert run("sample out --count 4")[0] == 0
    assert run("export out --to hub -o again")[0] == 0
    assert Path("again/README.md").read_text("utf-8").splitlines()[0] == "---"
    assert run(f"export {ROOT / 'results' / 'showcase'} --to hub -o shown")[0] == 0
    Path("out/README.md").write_text("# It knows more than the run")
    assert run("export out --to hub -o third")[0] == 0
    assert Path("third/README.md").read_text() == "# It knows more than the run"
    Path("third/model.safetensors").unlink()
    assert "third has no model.safetensors; download it again" in run("sample third")[2]
    assert 'license: "mit"\n' in Path("shown/README.md").read_text("utf-8")
    assert "license" not in Path("again/README.md").read_text("utf-8")


def front(text: str) -> dict[str, Any]:
    """Return what a card's front matter says, as the Hub reads it."""
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (None, "They have no classes."),
        (("Red Fox", "ねこ"), "They have 2 classes: Red Fox, ねこ."),
        (("<script>", "a|b\n# c"), "They have 2 classes: &lt;script&gt;, a\\|b\\n# c."),
        (tuple(map(str, range(99))), "They have 99 classes: 0, 1, 2, 3, 4 and 94 more."),
    ],
)
def test_the_card_of_images_of_ones_own(classes: tuple[str, ...] | None, said: str, tmp_path: Path) -> None:
    run = of_own_images(tmp_path / "own", classes, name='cats: "{x}" <b>')
    text = card(run, run.load_model(), "cc-by-4.0")
    assert said.replace("\\n", "\\\\n") in text or said in text
    assert front(text)["license"] == "cc-by-4.0"
    assert "datasets" not in front(text)
    assert "<b>" not in text.split("```bash\npie train")[0]
    assert "images of 64×64 in colour" in text
    assert "They were prepared so: image size 64, pad True." in text
    assert "No evaluation of these weights is on record.\n" in text
    assert "somebody" not in text


def test_the_card_has_the_figures_of_these_weights_alone(tmp_path: Path) -> None:
    config = RunConfig(PIEConfig(latent_dim=2, **made_up.SIZES), TrainingConfig(dataset="mnist"))  # type: ignore[arg-type]
    run = Run(tmp_path / "own", config)
    run.create()
    run.save_weights(build_model(config.model))
    (run.folder / "metrics.csv").write_text("epoch,val_mse\n1,0.5\n2,0.0625\n")
    (run.folder / "provenance.json").write_text(json.dumps({"version": "0.2.0", "wall_seconds": 90, "device": "cpu"}))
    text = card(run, run.load_model(), None)
    assert "MSE of validation images from z alone: 0.0625." in text
    assert "version 0.2.0, cpu, 1.5 minutes." in text
    numbers = {"mse": 0.01594, "knn_accuracy": 0.9292, "nll": float("nan")}
    evaluation = cache.Evaluation(numbers, {}, np.zeros(2, np.float32), np.zeros((2, 2), np.float32), {})
    cache.keep(run.folder / "evaluation.json", f"{cache._model_of(run)} images judges", evaluation)
    text = card(run, run.load_model(), None)
    assert "| MSE from z alone | 0.01594 |\n| 5-NN accuracy of z | 0.9292 |\n" in text
    assert "log p(x)" not in text
    (index,) = front(text)["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {"type": "ylecun/mnist", "name": "mnist", "split": "test"}
    assert [(one["type"], one["value"]) for one in result["metrics"]] == [("mse", 0.01594), ("knn_accuracy", 0.9292)]
    run.save_weights(build_model(config.model))
    assert "No evaluation of these weights is on record." in card(run, run.load_model(), None)


def test_a_training_on_some_of_the_images_says_on_how_many(tmp_path: Path) -> None:
    """Of ten epochs, it is a quick run all the same."""
    config = RunConfig(PIEConfig(latent_dim=2, **made_up.SIZES), TrainingConfig(train_images=500))  # type: ignore[arg-type]
    run = Run(tmp_path / "own", config)
    run.create()
    run.save_weights(build_model(config.model))
    assert "10 epochs of at most 500 images" in card(run, run.load_model(), None)
    assert dict(settings(run))["length"] == "10 epochs of at most 500 images (quick run)"
