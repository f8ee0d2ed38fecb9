"""A setting is one field: its check, its option, the run's name and the printed command follow from it."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pie_cli.cli.options import _SETTINGS
from pie_cli.config.naming import RESULTS, run_config, run_name, train_command
from pie_cli.config.recipes import RECIPES, Recipe
from pie_cli.config.run import CONFIGS, RunConfig, TrainingConfig
from pie_cli.data.base import DataConfig
from pie_cli.errors import UsageError
from pie_cli.models.config import PIEConfig, VAEConfig
from pie_cli.runs.folder import Run
from tests.commands import run


def test_what_is_derived_follows_what_is_replaced() -> None:
    """`dataclasses.replace` of any field gives what a new configuration would, even if the old one was read."""
    assert replace(PIEConfig(), latent_dim=100) == PIEConfig(latent_dim=100)
    assert replace(PIEConfig(), latent_dim=64).sizes == [784, 392, 196, 64, 64]
    assert replace(PIEConfig(image_shape=(1, 8, 8)), image_shape=(1, 28, 28)).sizes == PIEConfig().sizes
    config = run_config(eps2=0.05)
    for same in (config, RunConfig.from_dict(config.to_dict())):
        assert isinstance(same.model, PIEConfig)
        other = replace(same, model=replace(same.model, eps2=0.02))
        assert other == run_config(eps2=0.02)
        assert other.resolved.noise == 0.02


def test_the_classes_defaults_are_the_commands() -> None:
    for model, kind in CONFIGS.items():
        assert RunConfig(kind(), TrainingConfig()) == run_config(model)
    resolved = RunConfig(PIEConfig(), TrainingConfig()).resolved
    assert (resolved.noise, resolved.init, resolved.anneal, resolved.dequantise) == (0.01, "pca", 0.6, True)


def test_images_whose_sides_cannot_be_halved_have_a_name_too() -> None:
    data = DataConfig(sha256="0" * 64, classes=None)
    config = run_config(data=data, dataset="odd", image_shape=(1, 7, 9), conv_blocks=0)
    assert run_name(config) == "pie-odd-d10-eps0.01-convblocks0-seed0"


def test_a_recipe_is_a_set_of_defaults_and_an_option_beside_it_wins() -> None:
    letter = run_config(recipe="letter")
    assert {name: letter.to_dict()["training"].get(name, letter.to_dict()["model"].get(name)) for name in
            RECIPES["letter"].settings} == RECIPES["letter"].settings  # fmt: skip
    assert run_config(recipe="letter", noise=0.5).resolved.noise == 0.5
    assert run_name(letter) == "pie-d10-eps0.01-letter-seed0"
    assert run_name(run_config(recipe="letter", noise=0.5)) == "pie-d10-eps0.01-letter-noise0.5-seed0"
    assert "letter" in Run(Path("x"), letter).label
    with pytest.raises(UsageError, match="`recipe` is an option of PIE"):
        run_config("vae", recipe="letter")


VARIATIONS: dict[str, st.SearchStrategy[Any]] = {
    "recipe": st.sampled_from(sorted(RECIPES)),
    "eps2": st.floats(1e-9, 0.09),
    "latent_dim": st.integers(1, 64),
    "seed": st.integers(0, 2**31 - 1),
    "noise": st.floats(0, 10),
    "lr": st.floats(1e-9, 10),
    "grad_clip": st.floats(1e-6, 1e6),
    "anneal": st.floats(1e-3, 1),
    "init": st.sampled_from(["pca", "random"]),
    "couplings": st.integers(1, 9),
    "equal_widths": st.booleans(),
    "dataset": st.sampled_from(["mnist", "digits"]),
    "reflections": st.integers(1, 9),
    "linear_dims": st.sampled_from([(64,), (100, 64), ()]),
    "predict_residual": st.booleans(),
    "dequantise": st.booleans(),
}
FLAGS = {"no_g": "predict_residual", **{name: name.removeprefix("no_") for name in
         ("equal_widths", "no_equal_widths", "dequantise", "no_dequantise")}}  # fmt: skip
CHOSEN = st.fixed_dictionaries({}, optional=VARIATIONS)


@settings(max_examples=200, deadline=None)
@given(chosen=CHOSEN)
def test_the_printed_command_says_exactly_what_is_trained(chosen: dict[str, Any]) -> None:
    """Every number has its full value: the command's words, read back, give the same configuration."""
    config = run_config(**chosen)
    words = shlex.split(train_command(config, RESULTS))[2:]
    read: dict[str, Any] = {}
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        if name in FLAGS:
            read[FLAGS[name]] = not name.startswith("no_")
        elif name == "linear_dims":
            read[name] = tuple(int(part) for part in words.pop(0).split(",") if part)
        else:
            text = words.pop(0)
            kinds: dict[str, Any] = {**dict.fromkeys(("latent_dim", "seed", "couplings", "reflections"), int)}
            kinds |= dict.fromkeys(("eps2", "noise", "lr", "grad_clip", "anneal"), float)
            read[name] = kinds.get(name, str)(text)
    assert run_config(**read) == config


@settings(max_examples=200, deadline=None)
@given(one=CHOSEN, other=CHOSEN)
def test_two_runs_that_differ_never_share_a_name(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Except in how much they compute, here K_l and the learning rate, see `naming.family`."""
    a, b = (run_config(**{k: v for k, v in chosen.items() if k not in ("couplings", "lr")}) for chosen in (one, other))
    assert (run_name(a) == run_name(b)) == (a == b)


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [
        (PIEConfig, "couplings", True, "has a value of another type: True"),
        (PIEConfig, "linear_dims", (64, 0), "linear_dims"),
        (PIEConfig, "image_shape", (28, 28), "must be (C, H, W)"),
        (VAEConfig, "likelihood", "laplace", "must be one of bernoulli, gaussian, got 'laplace'"),
        (VAEConfig, "variance", float("inf"), "must be positive and finite, got inf"),
        (TrainingConfig, "seed", -1, "must lie between 0 and 2147483647, got -1"),
    ],
)
def test_a_bad_value_is_told_in_one_line(kind: type[Any], name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} ") as error:
        kind(**{name: value})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_every_setting_is_an_option_and_in_the_documentation_of_its_class() -> None:
    for kind in (*CONFIGS.values(), TrainingConfig):
        for one in fields(kind):
            assert one.metadata["help"]
            assert (one.name in _SETTINGS) == bool(one.metadata["option"])
    assert "eps2: ε₀²" in (PIEConfig.__doc__ or "")


@pytest.mark.parametrize("recipe", ["stable", "letter"])
def test_the_command_and_python_train_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    """Byte for byte, from the recipe's name alone."""
    done = run("train", "--recipe", recipe, *SMALL, cwd=tmp_path, before=one_thread)
    assert done.code == 0, done.stderr
    config = run_config(recipe=recipe, dataset="digits", epochs=1, conv_width=4, dense_width=16)
    ours = Run(tmp_path / "python", config)
    done = run("--version", cwd=tmp_path, before=Training(ours))
    assert done.code == 0, done.stderr
    by_command = tmp_path / "results" / run_name(config) / "weights.safetensors"
    assert by_command.read_bytes() == ours.weights.read_bytes()


SMALL = ("--dataset", "digits", "--epochs", 1, "--conv-width", 4, "--dense-width", 16)


def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


class Training:
    """Trains a run by the library, as a script would, in the process that calls it."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self) -> None:
        from pie_cli.data.load import load_dataset
        from pie_cli.runtime import Execution
        from pie_cli.training.display import Display
        from pie_cli.training.loop import train

        one_thread()
        train(self.run, load_dataset("digits", report=lambda line: None), Execution("cpu"), Display())
