"""Table 1, the evaluation and the whole reproduction, run for real on scikit-learn's digits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pie_cli.evaluation.evaluate import evaluate
from pie_cli.paper.claims import Outcome, Verdict, judge
from pie_cli.runs.folder import Run
from tests import commands
from tests.conftest import call, pie
from tests.pictures import write_folder

RECIPES = ("letter", "stable")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a quick reproduction by two processes that start at once where there is nothing."""
    folder = tmp_path_factory.mktemp("checkout") / "results"
    command = [sys.executable, "-m", "pie_cli", "reproduce", "--dataset", "digits", "--jobs", "1"]
    processes = [
        subprocess.Popen([*command, "--results-dir", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (printed, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
        assert "training 12 of 12 runs (quick profile), 1 epoch each" in printed
    printed = "".join(output for output, _ in outputs)
    runs = [path.parent.name for path in folder.glob("quick/*/config.json")]
    assert len(runs) == 12
    for run in runs:
        assert printed.count(f"{run}: epoch 1 done") == 1
        assert printed.count(f"{run}: trained and evaluated\n") == 1
        assert printed.count(f"{run}: trained and evaluated elsewhere\n") == 1
    assert printed.count("training the classifier that measures realism (") == 3
    return folder / "quick"


def test_reproduction_writes_everything(reproduced: Path) -> None:
    figures = [f"fig{number}-{recipe}" for number in (7, 8, 9) for recipe in RECIPES]
    for stem in (*figures, "table1"):
        for kind in ("pdf", "png", "npz"):
            assert (reproduced / f"{stem}.{kind}").stat().st_size > 1000
    for stem in ("table1", "table1_audit", "evaluation"):
        for kind in ("csv", "md", "tex"):
            assert (reproduced / f"{stem}.{kind}").exists()
    page = (reproduced / "README.md").read_text()
    assert "Quick profile" in page
    claims = json.loads((reproduced / "claims.json").read_text())
    assert claims["quick"]
    assert list(claims["claims"]) == list(RECIPES)
    for judgements in claims["claims"].values():
        assert [c["claim"] for c in judgements] == list(range(1, 9))
        for claim in judgements:
            assert claim["verdict"] == "NOT COMPARABLE"
            assert claim["tendency"] in ("HOLDS", "PARTLY", "FAILS")
            assert claim["text"] in page
            assert claim["parts"].keys() == claim["differences"].keys()
            assert all(part in page for part in claim["parts"])
    assert "| the paper's claim | the paper | letter | stable |" in page
    assert len(pd.read_csv(reproduced / "evaluation.csv")) == 12


def test_inverse_certificate_is_tight(reproduced: Path) -> None:
    certificates = json.loads((reproduced / "claims.json").read_text())["certificates"]
    assert list(certificates) == list(RECIPES)
    for certificate in certificates.values():
        assert certificate["test images"] == 300
        assert certificate["largest error of the exact inverse, float32"] < 1e-4
        assert certificate["largest error of the exact inverse, float64, on a tenth of them"] < 1e-10
        assert certificate["samples with a pixel that is not finite"] == 0


def test_table_1_has_the_papers_figures_beside_ours(reproduced: Path) -> None:
    table = pd.read_csv(reproduced / "table1.csv", index_col=0)
    names = ["true", "VAE", "WAE", *(f"PIE {recipe}, ε₀² = 0.01" for recipe in RECIPES)]
    assert table.index.tolist() == names
    assert table["paper"].tolist() == [0.18, 0.08, 0.07, 0.49, 0.49]
    difference = abs(table["sharpness"].to_numpy() - table["sharpness"].to_numpy()[0])
    np.testing.assert_allclose(table["|sharpness − true|"], difference)
    audit_table = pd.read_csv(reproduced / "table1_audit.csv", index_col=0)
    np.testing.assert_allclose(audit_table.iloc[0], table["sharpness"], rtol=1e-5)


@pytest.mark.slow
def test_one_process_makes_the_same_table(reproduced: Path, tmp_path: Path) -> None:
    """Neither the process that trains a run nor the number of processes changes a digit, except of training times."""
    (tmp_path / "quick").mkdir()
    for classifier in reproduced.glob("classifier-digits*.safetensors"):
        shutil.copy(classifier, tmp_path / "quick")
    arguments = ("--models", "vae,pie", "--eps2", "0.01", "--jobs", 2, "--dataset", "digits", "--results-dir", tmp_path)
    done = pie("sharpness", *arguments)
    assert done.returncode == 0, done.stderr
    assert "training 3 of 3 runs (quick profile)" in done.stdout
    for name in ("table1", "table1_audit"):
        shared, alone = (
            pd.read_csv(folder / f"{name}.csv", index_col=0, dtype=str).drop(columns="training, s", errors="ignore")
            for folder in (reproduced, tmp_path / "quick")
        )
        assert {*alone.index, *alone.columns} >= {"true", "VAE", *(f"PIE {recipe}, ε₀² = 0.01" for recipe in RECIPES)}
        pd.testing.assert_frame_equal(alone, shared.loc[alone.index, alone.columns])
    for name in ("vae-digits-d8-seed0", "pie-digits-d8-eps0.01-seed0", "pie-digits-d8-eps0.01-letter-seed0"):
        weights = [(folder / name / "weights.safetensors").read_bytes() for folder in (reproduced, tmp_path / "quick")]
        assert weights[0] == weights[1]


def test_what_exists_is_reused(reproduced: Path) -> None:
    """Evaluated runs are neither trained nor evaluated again; Table 1 comes from the same numbers."""
    before = {path: path.stat().st_mtime_ns for path in reproduced.glob("*/*.*")}
    table = pd.read_csv(reproduced / "table1.csv", index_col=0)
    arguments = ("--dataset", "digits", "--results-dir", reproduced.parent)
    done = commands.run("sharpness", "--models", "pie,vae,wae", *arguments, "--no-train", cwd=reproduced)
    assert done.code == 0, done.stderr
    assert "Table 1" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in reproduced.glob("*/*.*")} == before
    pd.testing.assert_frame_equal(pd.read_csv(reproduced / "table1.csv", index_col=0), table)


def readme_blocks(language: str) -> list[str]:
    text = (Path(__file__).parent.parent / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_readmes_commands_run(
    reproduced: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As written there, but on the digits where no images are named, with a small model, on the CPU, in one process."""
    monkeypatch.chdir(reproduced.parent.parent)
    write_folder(Path("pictures"), {"a": 100, "b": 100}, width=8, height=8)
    commands = [
        line.split("#")[0].split() for line in "".join(readme_blocks("bash")).splitlines() if line[:4] == "pie "
    ]
    assert {command[1] for command in commands} >= {"train", "sample", "umap", "sharpness", "evaluate", "reproduce"}
    own = "results/pie-digits-d10-eps0.01-seed0"
    for _, name, *arguments in commands:
        if "--devices" in arguments:  # tested where processes are
            continue
        arguments = [{"RUN": own, "mnist:test": "digits:test"}.get(one, one) for one in arguments]
        arguments += ["--dataset", "digits"] * ("--dataset" not in arguments and name != "export")
        if name == "train":
            sizes = ["--conv-width", "4", "--dense-width", "16", "--couplings", "1"]
            arguments += ["--device", "cpu", "--epochs", "1", *sizes]
        if name == "reproduce":
            arguments += ["--profile", "quick"]
        code, _, errors = call(" ".join([name, *arguments]), capsys, monkeypatch)
        assert code == 0, f"{name}: {errors}"
    table = pd.read_csv("results/evaluation.csv", index_col=0)
    assert table.index.tolist() == ["PCA d = 10", "pie-digits-d10-eps0.01-seed0, 1 epoch (quick run)"]
    assert table[["mse", "knn_accuracy", "umap_silhouette"]].notna().all(axis=None)
    for block in readme_blocks("python"):
        exec(block.replace("/showcase", "/pie-digits-d10-eps0.01-seed0"), {})


def test_wrong_weights_flip_a_verdict(reproduced: Path, tmp_path: Path) -> None:
    """Untrained weights in the run with the lowest ε₀² turn claim 1 around, where the others are worse by invention."""
    source = reproduced / "pie-digits-d10-eps0.01-seed0"
    shutil.copytree(source, tmp_path / source.name)
    trained = json.loads((source / "evaluation.json").read_text())["numbers"]
    measured = {"pie-d10-eps0.01": [trained]}
    for worse, eps2 in enumerate(("0.1", "1"), 2):
        measured[f"pie-d10-eps{eps2}"] = [{**trained, "mse": worse * trained["mse"]}]
    assert judge(measured)[0].tendency is Verdict.HOLDS

    from pie_cli.data.load import load_dataset
    from pie_cli.metrics.realism import Panel
    from pie_cli.models.registry import build_model

    dataset = load_dataset("digits", report=lambda line: None)
    panel = Panel.load_or_train(reproduced, dataset)
    run = Run.open(tmp_path / "pie-digits-d10-eps0.01-seed0")
    run.save_weights(build_model(run.config.model))
    measured["pie-d10-eps0.01"] = [dict(evaluate(run, dataset, panel, "cpu").numbers)]
    judgement = judge(measured)[0]
    assert judgement.tendency is Verdict.PARTLY
    assert judgement.parts["MSE lower at 0.01 than at 0.1"] is Outcome.OPPOSITE
