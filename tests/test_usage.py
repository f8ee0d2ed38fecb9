"""What users get wrong: each mistake is reported in one line, at once, and leaves every file as it was."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pie_cli.config.naming import run_config, run_name
from pie_cli.models.registry import build_model
from pie_cli.runs.folder import Run
from tests import commands

HUGE = "99999999999999999999"

# What is typed, the exit code, and words of the message. In braces: {run} and {vae}, finished runs on the digits; an
# {unfinished} one; folders with a {damaged} config.json, and with one whose data set has the name of a {relative} or
# {absolute} path; an {empty} folder, a {file}; {long}, a name longer than file systems take.
MISTAKES = [
    # commands and options that do not exist
    ("smaple", 2, "Did you mean 'sample'"),
    ("''", 2, "No such command ''"),
    ("--models pie", 2, "No such option: --models"),
    ("train extra", 2, "unexpected extra argument"),
    ("train --epoch 3", 2, "No such option: --epoch (Possible options: --epochs"),
    ("train --no-resume", 2, "No such option: --no-resume"),
    ("train -x", 2, "No such option: -x"),
    ("train --eps2", 2, "'--eps2' requires an argument"),
    ("train --offline=yes", 2, "'--offline' does not take a value"),
    ("reproduce --strict yes", 2, "unexpected extra argument"),
    ("sample {run} {run}", 2, "unexpected extra argument"),
    # ε₀²
    ("train --eps2 0,01", 2, "'--eps2': it must be a valid number, got '0,01'"),
    ("train --eps2 tiny", 2, "'--eps2': it must be a valid number, got 'tiny'"),
    ("train --eps2 ''", 2, "'--eps2': it must be a valid number, got ''"),
    ("train --eps2 0", 2, "--eps2 is a variance and must be positive"),
    ("train --eps2 -1", 2, "--eps2 is a variance and must be positive"),
    ("train --eps2 nan", 2, "--eps2 is a variance and must be positive"),
    ("train --eps2 inf", 2, "--eps2 is a variance and must be positive"),
    ("train --eps2 1e300", 2, "--eps2 is a variance and must be positive, at most 1e+06"),
    ("train --eps2 1e-400", 2, "--eps2 is a variance and must be positive"),
    ("sample --eps2 0", 2, "--eps2 is a variance and must be positive"),
    ("umap --eps2 -0.1", 2, "--eps2 is a variance and must be positive"),
    ("reconstruct --eps2 x", 2, "'--eps2': it must be a valid number, got 'x'"),
    ("interpolate --eps2 nan", 2, "--eps2 is a variance and must be positive"),
    # sizes of the model
    ("train --latent-dim 0", 2, "'--latent-dim': it must be greater than or equal to 1, got '0'"),
    ("train --latent-dim ten", 2, "'--latent-dim': it must be a valid integer, got 'ten'"),
    ("train --latent-dim 300", 2, "--latent-dim must not exceed the 196 variables"),
    ("train --model vae --latent-dim 2000", 2, "--latent-dim must not exceed the 784 values"),
    ("sample --latent-dim 9999", 2, "--latent-dim must not exceed"),
    ("umap --latent-dim -3", 2, "'--latent-dim'"),
    ("train --couplings 0", 2, "'--couplings'"),
    (f"train --couplings {HUGE}", 2, "'--couplings': it must be less than or equal to 100"),
    ("train --conv-width 0", 2, "'--conv-width'"),
    ("train --conv-width 1.5", 2, "'--conv-width': it must be a valid integer, got '1.5'"),
    ("train --dense-width -16", 2, "'--dense-width'"),
    ("train --dense-width 1000000000000", 2, "'--dense-width'"),
    ("train --dense-depth 0", 2, "'--dense-depth'"),
    ("train --dense-depth 1000000", 2, "'--dense-depth'"),
    ("train --scale free", 2, "'--scale': 'free' is not one of 'contractive', 'additive', 'affine'"),
    ("train --contraction 1.5", 2, "--contraction must lie in [0, 1], got 1.5"),
    ("train --linear-contraction 1.5", 2, "--linear-contraction must lie in [0, 1], got 1.5"),
    ("train --scale additive --linear-contraction 0.5", 2, "--linear-contraction is for --scale contractive"),
    ("train --contraction nan", 2, "--contraction must lie in [0, 1], got nan"),
    ("train --scale affine --contraction 0.5", 2, "--contraction is for --scale contractive"),
    # training
    ("train --epochs 0", 2, "'--epochs'"),
    ("train --epochs 1.5", 2, "'--epochs': it must be a valid integer, got '1.5'"),
    (f"train --epochs {HUGE}", 2, "'--epochs'"),
    ("train --epochs=", 2, "'--epochs': it must be a valid integer, got ''"),
    ("train --batch-size 0", 2, "'--batch-size'"),
    ("train --lr 0", 2, "--lr must be positive and finite, got 0.0"),
    ("train --lr -1", 2, "--lr must be positive and finite, got -1.0"),
    ("train --lr nan", 2, "--lr must be positive and finite, got nan"),
    ("train --lr inf", 2, "--lr must be positive and finite, got inf"),
    ("train --lr fast", 2, "'--lr': it must be a valid number, got 'fast'"),
    ("train --grad-clip 0", 2, "--grad-clip must be positive and finite"),
    ("train --grad-clip nan", 2, "--grad-clip must be positive and finite"),
    ("train --seed -1", 2, "'--seed': it must be greater than or equal to 0, got '-1'"),
    ("train --seed 99999999999", 2, "--seed must lie between 0 and 2147483647"),
    ("train --noise -1", 2, "--noise is a variance and must lie between 0 and 1e+06, got -1.0"),
    ("train --noise 1e308", 2, "--noise is a variance"),
    ("train --noise nan", 2, "--noise is a variance"),
    ("train --anneal 2", 2, "--anneal must lie in [0, 1], got 2.0"),
    ("train --anneal nan", 2, "--anneal must lie in [0, 1]"),
    ("train --anneal 0.5 --learn-eps2", 2, "--learn-eps2 and --anneal both change ε₀²"),
    ("train --init zero", 2, "'--init': 'zero' is not one of 'pca', 'random'"),
    ("train --precision fp16", 2, "'--precision': 'fp16' is not one of '32-true', 'bf16-mixed'"),
    ("train --reconstruction -1", 2, "--reconstruction must be finite and not negative"),
    ("train --reconstruction nan", 2, "--reconstruction must be finite and not negative"),
    ("train --reconstruction-start nan", 2, "--reconstruction-start must be finite and not negative"),
    ("train --reconstruction-start 1 --reconstruction 1", 2, "--reconstruction-start falls to 0 and --reconstruction"),
    ("train --reconstruction-start 1 --eps2 0.1", 2, "--reconstruction-start falls while ε₀² is annealed"),
    ("train --reconstruction-start 1 --anneal 0", 2, "--reconstruction-start falls while ε₀² is annealed"),
    ("train --reconstruction-start 1 --learn-eps2", 2, "--reconstruction-start falls while ε₀² is annealed"),
    # models
    ("train --model gan", 2, "'--model': 'gan' is not one of 'pie', 'vae', 'wae'"),
    ("sample --model PIE", 2, "'--model': 'PIE' is not one of"),
    ("train --model vae --eps2 0.1", 2, "--eps2 is an option of PIE and does not go with --model vae"),
    ("sample --model wae --eps2 0.1", 2, "--eps2 is an option of PIE and does not go with --model wae"),
    ("train --model wae --init pca", 2, "--init is an option of PIE"),
    ("train --model wae --anneal 0.5", 2, "--anneal is an option of PIE"),
    ("train --model vae --reconstruction 1", 2, "--reconstruction is an option of PIE"),
    ("train --model vae --reconstruction-start 1", 2, "--reconstruction-start is an option of PIE"),
    ("train --model vae --scale affine", 2, "--scale is an option of PIE"),
    ("train --model vae --contraction 0.5", 2, "--contraction is an option of PIE"),
    ("train --model vae --couplings 2", 2, "--couplings is an option of PIE"),
    ("train --model vae --conv-width 8", 2, "--conv-width is an option of PIE"),
    ("train --model vae --dense-width 8", 2, "--dense-width is an option of PIE"),
    ("train --model vae --dense-depth 2", 2, "--dense-depth is an option of PIE"),
    ("train --model wae --learn-eps2", 2, "--learn-eps2 is an option of PIE"),
    (
        "train --model vae --recompute",
        2,
        "--recompute is for PIE's bijections: it does not go with another model or --compile",
    ),
    ("train --compile --recompute", 2, "does not go with another model or --compile"),
    # devices
    ("train --device cuda:7", 2, "'--device': 'cuda:7' is not one of"),
    ("umap --device xpu", 2, "'--device': 'xpu' is not one of"),
    ("evaluate --device tpu", 2, "'--device': 'tpu' is not one of"),
    ("train --devices 0", 2, "'--devices'"),
    ("train --devices two", 2, "'--devices': it must be a valid integer, got 'two'"),
    ("train --device cpu --devices 3", 2, "must be divisible by 3"),
    ("train --device cpu --devices 2 --model vae", 2, "only PIE trains on several devices"),
    ("train --num-nodes 0", 2, "'--num-nodes'"),
    ("train --num-nodes 2", 2, "--num-nodes 2: nothing says where the other nodes are"),
    # data
    ("train --dataset cifar", 2, "'--dataset': 'cifar' is not one of 'mnist', 'digits'"),
    ("reproduce --dataset MNIST", 2, "'--dataset': 'MNIST' is not one of"),
    ("train --data-dir {file}", 2, "'--data-dir': {file} is a file; give a folder"),
    ("evaluate --data-dir {file}", 2, "'--data-dir': {file} is a file; give a folder"),
    ("train --data-dir ''", 2, "'--data-dir': it is empty"),
    ("train --data-dir nowhere --offline", 1, "--offline forbids fetching"),
    ("reproduce --data-dir nowhere --offline", 1, "--offline forbids fetching"),
    ("train --dataset digits --batch-size 5000", 2, "--batch-size 5000 exceeds the 1297 training images"),
    # folders
    ("train --results-dir {file}", 2, "'--results-dir': {file} is a file; give a folder"),
    ("sharpness --results-dir {file}", 2, "'--results-dir': {file} is a file; give a folder"),
    ("reproduce --results-dir {file}", 2, "'--results-dir': {file} is a file; give a folder"),
    ("train --results-dir ''", 2, "'--results-dir': it is empty"),
    ("train --dataset digits --results-dir {file}/deeper", 1, "cannot lock {file}/deeper"),
    ("train --dataset digits --results-dir /proc/new", 1, "cannot lock /proc/new"),
    ("sharpness --dataset digits --results-dir /proc/new", 1, "cannot lock /proc/new"),
    ("train --dataset digits --results-dir {long}", 1, "File name too long"),
    ("evaluate --dataset digits --results-dir {long}", 1, "File name too long"),
    ("sample {long}", 1, "File name too long"),
    ("train --dataset digits --results-dir $'a\nb' --resume --overwrite", 2, "give one of them"),
    ("train --dataset digits --latent-dim 4", 2, "add --resume to go on with it, --overwrite to train it again"),
    (
        "train --dataset digits --latent-dim 4 --resume --lr 1",
        2,
        "was trained with other settings (conv_width: 4, now 16;",
    ),
    ("train --dataset digits --latent-dim 4 --resume --overwrite", 2, "--resume goes on with a run and --overwrite"),
    ("train --dataset digits --latent-dim 4 --resume --epochs 30", 2, "so a training cannot be made longer; give"),
    # runs
    ("sample nowhere", 1, "nowhere is not a run folder: it has no config.json"),
    ("reconstruct {empty}", 1, "is not a run folder: it has no config.json"),
    ("umap {file}", 1, "is not a run folder: it has no config.json"),
    ("sample ''", 2, "it is empty"),
    ("sample {unfinished}", 1, "has not finished; go on with: pie train"),
    ("evaluate {unfinished}", 1, "has not finished; go on with: pie train"),
    ("umap {damaged}", 1, "config.json cannot be understood"),
    (
        "sample {relative}",
        1,
        "cannot be understood: dataset must be one of mnist, digits, fashion-mnist, kmnist, cifar10, svhn, "
        "got '../../x'",
    ),
    (
        "evaluate {absolute}",
        1,
        "cannot be understood: dataset must be one of mnist, digits, fashion-mnist, kmnist, cifar10, svhn, "
        "got '/tmp/x'",
    ),
    ("train --dataset ../../x", 2, "'--dataset': '../../x' is not one of"),
    ("train --model ../pie", 2, "'--model': '../pie' is not one of"),
    ("sample --seed 1", 1, "there is no run results/pie-d10-eps0.01-seed1; train it with: pie train --eps2 0.01"),
    ("interpolate --dataset digits --model wae", 1, "train it with: pie train --model wae"),
    ("sample {run} --model vae", 2, "--model vae is not that of {run}"),
    ("sample {vae} --eps2 0.1", 2, "--eps2 0.1 is not that of {vae}"),
    ("umap {run} --latent-dim 8", 2, "--latent-dim 8 is not that of {run}"),
    ("reconstruct {run} --seed 3", 2, "--seed 3 is not that of {run}"),
    ("interpolate {run} --dataset mnist", 2, "--dataset mnist is not that of {run}"),
    # figures
    ("reconstruct {run} --count 0", 2, "'--count'"),
    ("reconstruct {run} --count x", 2, "'--count': it must be a valid integer, got 'x'"),
    ("reconstruct {run} --keep -1", 2, "'--keep'"),
    ("reconstruct {run} --keep 9", 2, "--keep must lie between 0 and 4, the residual levels of"),
    ("reconstruct {vae} --keep 1", 2, "--keep needs the residuals of a PIE"),
    ("reconstruct {run} --keep 1 --count 5", 2, "leave out --count"),
    ("reconstruct {run} --project 5 --count 5", 2, "leave out --count"),
    ("reconstruct {run} --project 5 --keep 1", 2, "--keep and --project draw different figures; give one of them"),
    ("reconstruct {run} --project 0", 2, "'--project'"),
    ("sample {run} --count 0", 2, "'--count'"),
    ("sample {run} --count 1.5", 2, "'--count': it must be a valid integer, got '1.5'"),
    ("sample {run} --count 999999999999", 2, "'--count': it must be less than or equal to 10000"),
    ("sample {run} --std 1 --variance 1", 2, "give one of them"),
    ("sample {run} --std nan", 2, "--std must lie between 0 and 1e+06, got nan"),
    ("sample {run} --std 1e200", 2, "--std must lie between 0 and 1e+06"),
    ("sample {run} --variance -1", 2, "--variance must lie between 0 and 1e+06, got -1.0"),
    ("sample {run} --variance inf", 2, "--variance must lie"),
    ("sample {run} --prior uniform", 2, "'--prior': 'uniform' is not one of"),
    ("sample {run} --prior fitted --std 1", 2, "leave out --std and --variance"),
    ("sample {run} --sample-seed -1", 2, "'--sample-seed'"),
    (f"sample {{run}} --sample-seed {HUGE}", 2, "'--sample-seed'"),
    ("umap {run} --umap-seed -1", 2, "'--umap-seed'"),
    ("umap {run} --umap-seed 99999999999", 2, "'--umap-seed': it must be less than or equal to 2147483647"),
    ("interpolate {run} --rows 0", 2, "'--rows'"),
    (f"interpolate {{run}} --rows {HUGE}", 2, "'--rows'"),
    ("interpolate {run} --from 7", 2, "give --from and --to (classes)"),
    ("interpolate {run} --to 7", 2, "give --from and --to (classes)"),
    ("interpolate {run} --from 12 --to 2", 2, "--from: '12' is not one of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    ("interpolate {run} --from-index 7", 2, "--from-index and --to-index"),
    ("interpolate {run} --from-index -1 --to-index 2", 2, "'--from-index'"),
    ("interpolate {run} --from 7 --to-index 2", 2, "give --from and --to (classes)"),
    ("interpolate {run} --from 7 --to 2 --from-index 1 --to-index 2", 2, "give --from and --to (classes)"),
    ("interpolate {run} --rows 3 --from 7 --to 2", 2, "--rows shows several pairs"),
    ("interpolate {run} --from-index 5000 --to-index 2", 2, "test index 5000 does not exist"),
    ("interpolate {run} --rows 151", 2, "test index 300 does not exist; the test set has images 0 to 299"),
    # tables
    ("sharpness --models pie,gan", 2, "--models: 'gan' is unknown; choose from pie,vae,wae"),
    ("sharpness --models ''", 2, "--models: '' is unknown"),
    ("sharpness --models pie,vae,", 2, "--models: '' is unknown"),
    ("sharpness --models pie,pie", 2, "--models and --eps2 take each value once"),
    ("sharpness --eps2 0.1,0.1", 2, "--models and --eps2 take each value once"),
    ("sharpness --eps2 0.01,0.010000001", 2, "--models and --eps2 take each value once"),
    ("sharpness --eps2 0.1,", 2, "--eps2: '0.1,' is not a comma-separated list of numbers"),
    ("sharpness --eps2 ''", 2, "--eps2: '' is not a comma-separated list of numbers"),
    ("sharpness --eps2 '0,1;1'", 2, "--eps2: '0,1;1' is not a comma-separated list of numbers"),
    ("sharpness --eps2 0,01", 2, "--eps2 is a variance and must be positive, at most 1e+06, got 0.0"),
    ("sharpness --eps2 nan", 2, "--eps2 is a variance"),
    ("sharpness --eps2 -1", 2, "--eps2 is a variance"),
    ("sharpness --models vae --eps2 0.1", 2, "--eps2 is an option of PIE and does not go with --models vae"),
    ("sharpness --profile full", 2, "'--profile': 'full' is not one of 'quick', 'paper'"),
    ("sharpness --jobs 0", 2, "'--jobs'"),
    ("sharpness --no-train --models vae", 1, "train them with: pie train --model vae --latent-dim 8"),
    ("evaluate nowhere", 1, "nowhere is not a run folder"),
    ("evaluate {run} --dataset mnist", 2, "was trained on digits, not on mnist; leave out --dataset"),
    ("evaluate {run} {run} --dataset digits", 2, "two of the runs are pie-digits-d4-eps0.01-seed0"),
    ("evaluate --results-dir {empty}", 1, "there is no finished run in {empty}; train one with: pie train"),
    ("evaluate --results-dir nowhere", 1, "there is no finished run in nowhere; train one with: pie train"),
    ("reproduce --seeds 0", 2, "'--seeds'"),
    ("reproduce --baseline-seeds 0", 2, "'--baseline-seeds'"),
    ("reproduce --seeds 1.5", 2, "'--seeds': it must be a valid integer, got '1.5'"),
    (f"reproduce --seeds {HUGE}", 2, "'--seeds': it must be less than or equal to 1000"),
    ("reproduce --scheduler tcp://machine:8786 --jobs 2", 2, "--jobs is for --scheduler local"),
    ("status {file}", 2, "{file} is a file; give a folder"),
    ("status {empty}", 1, "there is no run in"),
    ("reproduce --jobs x", 2, "'--jobs': it must be a valid integer, got 'x'"),
    ("reproduce --profile full", 2, "'--profile': 'full' is not one of 'quick', 'paper'"),
]

# These mistakes show only when the images are loaded, or the folder is written.
LATER = (
    "reproduce --data-dir",
    "--from 12",
    "batch-size 5000",
    "--from-index 5000",
    "--rows 151",
    "{file}/deeper",
    "/proc/new",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where commands run, with runs in its `results` and everything else that a path can be."""
    folder = tmp_path_factory.mktemp("place")
    small: dict[str, Any] = {"conv_width": 4, "dense_width": 16, "dense_depth": 1}
    for model, sizes in (("pie", small), ("vae", {})):
        config = run_config(model, latent_dim=4, dataset="digits", **sizes)
        run = Run(folder / "results" / run_name(config), config)
        run.create()
        run.save_weights(build_model(config.model))
    unfinished = run_config("pie", latent_dim=5, dataset="digits")
    Run(folder / "results" / run_name(unfinished), unfinished).create()
    for name, dataset in (("relative", "../../x"), ("absolute", "/tmp/x")):
        written = unfinished.to_dict()
        written["training"]["dataset"] = dataset
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(written))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.json").write_text('{"format": 1}')
    (folder / "empty").mkdir()
    (folder / "file").touch()
    return folder


def places(folder: Path) -> dict[str, str]:
    """Return what stands for the names in braces."""
    runs = {
        "run": "pie-digits-d4-eps0.01-seed0",
        "vae": "vae-digits-d4-seed0",
        "unfinished": "pie-digits-d5-eps0.01-seed0",
    }
    others = {name: str(folder / name) for name in ("damaged", "relative", "absolute", "empty", "file")}
    return {name: f"results/{run}" for name, run in runs.items()} | others | {"long": "x" * 300}


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return every file of a folder, except lock files, which are empty and never removed."""
    paths = (path for path in folder.rglob("*") if path.name != ".lock")
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize(("typed", "code", "words"), MISTAKES, ids=[typed for typed, _, _ in MISTAKES])
def test_a_mistake_is_one_line_at_once_and_leaves_all_as_it_was(typed: str, code: int, words: str, place: Path) -> None:
    before = contents(place)
    done = commands.run(*shlex.split(typed.format(**places(place))), cwd=place)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words.format(**places(place)) in done.stderr
    assert done.code == code
    assert done.stdout == "" or any(mark in typed for mark in LATER), "something was done before the mistake was told"
    assert contents(place) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("command", ["train", "sample", "sharpness", "evaluate", "reproduce"])
def test_cuda_where_there_is_none(command: str, place: Path) -> None:
    done = commands.run(command, "--device", "cuda", cwd=place)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == "error: --device cuda: no such device is usable on this machine; use --device auto or cpu\n"


@pytest.mark.parametrize("index", [0, 12, 24, 110])
def test_a_fresh_interpreter_says_the_same(index: int, place: Path) -> None:
    typed, code, words = MISTAKES[index]
    command = [sys.executable, "-m", "pie_cli", *shlex.split(typed.format(**places(place)))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert words.format(**places(place)) in done.stderr
