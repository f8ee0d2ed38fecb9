"""A run's files that are damaged, swapped, foreign or hostile are reported in one clear line, or made again."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pie_cli.cli.console import speaking_options
from pie_cli.config.run import RunConfig
from pie_cli.data.base import Dataset
from pie_cli.errors import FolderError, PIEError, UnusableRun
from pie_cli.evaluation import cache
from pie_cli.evaluation.cache import Evaluation
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.io.tensors import load_tensors, save_tensors
from pie_cli.metrics import classifier
from pie_cli.metrics.inference import clean
from pie_cli.metrics.realism import Panel
from pie_cli.models.config import PIEConfig
from pie_cli.models.registry import LAYOUT, build_model
from pie_cli.runs.folder import Run
from tests.conftest import call
from tests.damage import ANY_FILE, TENSOR_FILE, copied, directory, flip, pickled, said
from tests.test_training import same, small_run


def panel(digits: Dataset) -> Panel:
    """Return a judge whose classifier has learned nothing."""
    return Panel.of([classifier.Classifier((1, 28, 28), 10)], clean(digits.test))


# Weights


@pytest.mark.parametrize("damage", TENSOR_FILE)
def test_bad_weights_are_one_line(
    damage: Callable[[Path], None],
    whole: Run,
    digits: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copied(whole, tmp_path)
    damage(run.weights)
    code, _, errors = call(f"sample {run.folder} --count 1", capsys, monkeypatch)
    assert (code, errors.count("\n")) == (1, 1)
    said(errors, run.weights)
    assert not run.figures.exists()
    with pytest.raises(PIEError, match="train again with --overwrite"), speaking_options():
        evaluate(run, digits, panel(digits), "cpu")


def test_weights_of_another_run_or_model(
    whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of another seed, of another width, of a VAE, and a checkpoint under the weights' name."""
    for index, other in enumerate((small_run(tmp_path / "1", seed=1), small_run(tmp_path / "2", "vae"))):
        run = copied(whole, tmp_path / f"copy{index}")
        other.create()
        other.save_weights(build_model(other.config.model))
        shutil.copy(other.weights, run.weights)
        code, _, errors = call(f"sample {run.folder} --count 1", capsys, monkeypatch)
        assert code == 1
        assert "belongs to another configuration" in errors
        said(errors, run.weights)


def test_complete_is_said_of_good_weights_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run(tmp_path / "vae-digits-d4-seed0", "vae", epochs=1)
    run.create()
    run.save_weights(build_model(run.config.model))
    train = f"train --model vae --dataset digits --latent-dim 4 --epochs 1 --resume --results-dir {tmp_path}"
    code, printed, errors = call(train, capsys, monkeypatch)
    assert "complete" in printed, errors
    flip(run.weights)
    code, printed, errors = call(train, capsys, monkeypatch)
    assert (code, printed) == (1, "")
    said(errors, run.weights)


def test_sizes_in_a_hostile_file_cost_no_memory(tmp_path: Path) -> None:
    """The configuration needs terabytes, has the right hash, and is the same in all files."""
    config = small_run(tmp_path).config
    assert isinstance(config.model, PIEConfig)
    huge = RunConfig(replace(config.model, dense_width=2**20, conv_width=2**20), config.training)
    run = Run(tmp_path / "run", huge)
    run.create()
    save_tensors(run.weights, build_model(config.model).state_dict(), {**huge.to_dict(), "layout": LAYOUT})
    with pytest.raises(PIEError, match=r"instead of float32 \(.*\d{6}"):
        Run.open(run.folder).load_model()


# config.json


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return edit


def setting(part: str, **values: Any) -> Callable[[str], str]:
    return edited(lambda config: config[part].update(values))


BAD_CONFIGS = {
    "newer": edited(lambda config: config.update(format=2)),
    "format true-ish": edited(lambda config: config.update(format="1")),
    "unknown field": setting("training", momentum=0.9),
    "unknown part": edited(lambda config: config.update(extra={})),
    "missing field": edited(lambda config: config["training"].pop("seed")),
    "missing part": edited(lambda config: config.pop("model")),
    "list as model": edited(lambda config: config.update(model=[1, 2])),
    "unknown model": setting("model", name="gan"),
    "list as name": setting("model", name=["pie"]),
    "unknown data": setting("training", dataset="cifar"),
    "float for int": setting("training", epochs=2.0),
    "bool for int": setting("training", seed=True),
    "text for float": setting("training", lr="fast"),
    "list for number": setting("model", latent_dim=[4]),
    "text for bool": setting("training", dequantise="no"),
    "NaN": lambda text: text.replace('"lr": 0.002', '"lr": NaN'),
    "infinite": lambda text: text.replace('"lr": 0.002', '"lr": 1e999'),
    "too large": lambda text: text.replace('"lr": 0.002', f'"lr": 1{"0" * 400}'),
    "endless digits": lambda text: text.replace('"lr": 0.002', f'"lr": 1{"0" * 10_000}'),
    "2**10**9 blocks": setting("model", conv_blocks=10**9),
    "10**9 couplings": setting("model", couplings=10**9),
    "many blocks": setting("model", linear_dims=[64] * 100_000),
    "wrong dims": setting("model", image_shape=[28, 28]),
    "key twice": lambda text: text.replace('"seed": 0', '"seed": 1, "seed": 0'),
    "deep": lambda text: "[" * 100_000,
    "null": lambda text: "null",
    "not UTF-8": lambda text: "\udcff\udcfe" + text,
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_configuration_is_one_line(
    name: str, whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(whole, tmp_path)
    path = run.folder / "config.json"
    bad = BAD_CONFIGS[name](path.read_text())
    assert bad != path.read_text()
    path.write_bytes(bad.encode("utf-8", "surrogateescape"))
    code, _, errors = call(f"sample {run.folder} --count 1", capsys, monkeypatch)
    assert (code, errors.count("\n")) == (1, 1)
    said(errors, path)


@pytest.mark.parametrize("damage", ANY_FILE[1:])
def test_unreadable_configuration_is_one_line(damage: Callable[[Path], None], whole: Run, tmp_path: Path) -> None:
    run = copied(whole, tmp_path)
    damage(run.folder / "config.json")
    with pytest.raises(PIEError) as error:
        Run.open(run.folder)
    said(str(error.value), run.folder / "config.json")


@pytest.mark.parametrize("command", ["sample {run} --count 1", "reconstruct {run}", "interpolate {run}", "umap {run}"])
def test_every_command_compares_the_configuration_with_the_weights(
    command: str, whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """config.json has no hash of its own: a valid one that is not that of the weights is detected."""
    run = copied(whole, tmp_path)
    path = run.folder / "config.json"
    path.write_text(setting("training", lr=0.001)(path.read_text()))
    code, _, errors = call(command.format(run=run.folder), capsys, monkeypatch)
    assert code == 1
    assert "belongs to another configuration" in errors
    said(errors, path)


def test_a_kept_evaluation_is_not_taken_for_another_configuration(
    whole: Run, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(whole, tmp_path)
    judges = panel(digits)
    key = cache.key_of(run, digits, judges)
    cache.keep(run.folder / "evaluation.json", key, EVALUATION)
    assert key != cache.key_of(run, digits, panel(digits))  # nor for one of other features
    other = Run(run.folder, RunConfig(run.config.model, replace(run.config.resolved, lr=0.001)))
    evaluate(run, digits, judges, "cpu")
    with pytest.raises(PIEError, match="belongs to another configuration"):
        evaluate(other, digits, judges, "cpu")


# What can be made again: the evaluation and the classifier; and what is only looked at

EVALUATION = Evaluation(
    {"mse": 0.1, "nll": float("nan")},
    {"clipped": 0.3},
    np.arange(5, dtype=np.float32),
    np.zeros((3, 2), np.float32),
    {"samples": np.ones((2, 1, 4, 4), np.uint8)},
)


def test_an_evaluation_is_kept_exactly(tmp_path: Path) -> None:
    cache.keep(tmp_path / "evaluation.json", "key", EVALUATION)
    kept = cache.kept(tmp_path / "evaluation.json", "key")
    assert kept is not None
    assert repr(kept) == repr(EVALUATION)
    assert cache.kept(tmp_path / "evaluation.json", "other") is None


def test_what_was_measured_once_is_remembered(tmp_path: Path) -> None:
    """Under its key; damaged or of another key, it is measured again."""
    path, measured = tmp_path / "pca-d10.json", list[int]()

    def measure() -> dict[str, float]:
        measured.append(len(measured))
        return {"mse": 0.1 + 0.2 + len(measured), "nll": float("nan")}

    first = cache.remembered(path, "key", measure)
    assert repr(cache.remembered(path, "key", measure)) == repr(first)
    assert len(measured) == 1
    cache.remembered(path, "other", measure)
    assert len(measured) == 2
    damages: list[Callable[[Path], None]] = [*ANY_FILE, Path.unlink, pickled]
    for damage in damages:
        damage(path)
        if path.is_dir():
            path.rmdir()
        before = len(measured)
        again = cache.remembered(path, "other", measure)
        assert len(measured) == before + 1, damage
        assert repr(cache.remembered(path, "other", measure)) == repr(again)


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation.npz"])
def test_a_damaged_evaluation_is_measured_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    damages: list[Callable[[Path], None]] = [*ANY_FILE, Path.unlink, pickled]
    for damage in damages:
        if (tmp_path / name).is_dir():
            (tmp_path / name).rmdir()
        for old in tmp_path.glob("evaluation.*"):
            old.unlink()
        cache.keep(path, "key", EVALUATION)
        damage(tmp_path / name)
        assert cache.kept(path, "key") is None, damage
    for old in tmp_path.glob("evaluation.*"):
        old.unlink()


def test_a_flipped_bit_of_an_evaluation_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    cache.keep(path, "key", EVALUATION)
    original = path.read_bytes()
    for at in range(0, 8 * len(original), 3):
        content = bytearray(original)
        content[at // 8] ^= 1 << at % 8
        path.write_bytes(content)
        kept = cache.kept(path, "key")
        assert kept is None or repr(kept) == repr(EVALUATION)  # white space may change


@pytest.mark.parametrize("damage", [*TENSOR_FILE, Path.unlink])
def test_a_damaged_classifier_is_trained_again(
    damage: Callable[[Path], None], digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "train_classifier", lambda *given: classifier._untrained(*given[:3]))
    path, lines = tmp_path / "classifier-digits.safetensors", list[str]()
    good = classifier.load_or_train_classifier(tmp_path, digits.train, "digits").state_dict()
    damage(path)
    if damage is directory:
        with pytest.raises(PIEError, match="cannot write"):
            classifier.load_or_train_classifier(tmp_path, digits.train, "digits")
        return
    again = classifier.load_or_train_classifier(tmp_path, digits.train, "digits", lines.append).state_dict()
    assert same(again, good)
    assert len(lines) == 1
    assert same(load_tensors(path)[0], good)


@pytest.mark.parametrize("damage", [*ANY_FILE[1:], pickled])
def test_damaged_provenance_is_one_line_and_missing_one_is_none(
    damage: Callable[[Path], None], whole: Run, tmp_path: Path
) -> None:
    run = copied(whole, tmp_path)
    path = run.folder / "provenance.json"
    assert run.provenance["run"] == run.name
    damage(path)
    with pytest.raises(PIEError) as error:
        _ = run.provenance
    said(str(error.value), path)
    path.rmdir() if path.is_dir() else path.unlink()
    assert run.provenance == {}
    path.write_text('{"wall_seconds": [1]}')
    with pytest.raises(PIEError, match="wall_seconds"):
        _ = run.provenance


@pytest.mark.parametrize("damage", [*ANY_FILE, Path.unlink])
def test_damaged_metrics_count_as_some_epochs(damage: Callable[[Path], None], whole: Run, tmp_path: Path) -> None:
    run = copied(whole, tmp_path)
    assert run.epochs_done == 2
    damage(run.folder / "metrics.csv")
    assert 0 <= run.epochs_done <= 2


@pytest.mark.parametrize("error", [PIEError("x"), FolderError("cannot x; "), UnusableRun(Path("a"), "a is damaged")])
def test_an_error_passes_between_processes_with_its_advice(error: PIEError) -> None:
    """A worker's failure is reported as if it had happened in the command itself."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
