"""The whole paper: every run that it needs, its figures and tables, and the verdict on each of its claims."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from pie_cli import figures, table1
from pie_cli.autoencoder import Autoencoder
from pie_cli.claims import Judgement, Verdict, judge
from pie_cli.configuration import RunConfig, in_epochs
from pie_cli.errors import PIEError, UsageError
from pie_cli.evaluation import Evaluation, inverse_error, without_nan
from pie_cli.experiments import pair_rows, sheet
from pie_cli.files import write_json, write_text
from pie_cli.goals import goals
from pie_cli.inference import clean, encode_pairs, in_batches, interpolate, prior_samples
from pie_cli.launch import SHOWCASE, finished_run
from pie_cli.paper import (
    COLUMNS,
    EPS2_VALUES,
    INTERPOLATIONS,
    LATENT_DIM,
    MANY_INTERPOLATIONS,
    MODELS,
    NARROW_VARIANCE,
    RECONSTRUCTION_START,
    RECONSTRUCTION_WEIGHT,
    RECONSTRUCTIONS,
    SAMPLES,
    SHARPNESS_LATENT_DIM,
    SHEET,
)
from pie_cli.pie import PIE
from pie_cli.pie_config import PIEConfig
from pie_cli.report import results_page
from pie_cli.runs import Run
from pie_cli.suite import Suite, by_family, family, means, summary
from pie_cli.tables import print_table, write_table

DIMS = (LATENT_DIM, SHARPNESS_LATENT_DIM)


def reproduce(suite: Suite, seeds: int, baseline_seeds: int) -> list[Judgement]:
    """Train what is missing, draw Fig. 7 to 9, write Table 1, the evaluation, the verdicts and the page of results.

    Arguments:
        suite: data, profile and place.
        seeds: number of seeds of every PIE; figures and Table 1 show seed 0, verdicts and evaluation the means.
        baseline_seeds: the same of VAE and WAE.

    Returns:
        the verdicts.
    """
    started = time.monotonic()
    configs = paper_runs(suite, seeds, baseline_seeds)
    runs = [suite.place.run(config) for config in configs]
    missing = [run for run in runs if not run.finished]
    pca = cache(suite.pca)
    evaluations = suite.evaluations(configs, meanwhile=lambda: [pca(d) for d in DIMS])
    suite.console.print(f"drawing Fig. 7, 8 and 9 and writing the tables into {suite.place.results_dir}")
    draw_figures(suite, evaluations)
    certificate = certify(suite, evaluations)
    tables = write_table_1(suite, configs, evaluations)
    floors = {f"pca-d{d}": [pca(d)] for d in DIMS}
    numbers = {name: evaluation.numbers for name, evaluation in evaluations.items()}
    judgements = write_page(suite, runs, numbers, floors, tables, certificate)
    suite.console.print(_time_taken(missing, time.monotonic() - started, suite.place.jobs))
    return judgements


def write_page(
    suite: Suite,
    runs: Sequence[Run],
    numbers: Mapping[str, dict[str, float]],
    floors: Mapping[str, list[dict[str, float]]],
    tables: Mapping[str, pd.DataFrame],
    certificate: Mapping[str, float],
) -> list[Judgement]:
    """Write the evaluation of all runs, the verdicts, and README.md, which shows all; return the verdicts.

    Arguments:
        suite: data, profile and place.
        runs: all, of any number of seeds.
        numbers: figures of merit of each run, by its name.
        floors: those of PCA, by what the evaluation calls it.
        tables: "table1" and its "audit".
        certificate: as `certify` returns it.
    """
    folder, facts, configs = suite.place.results_dir, suite.facts(runs), [run.config for run in runs]
    families = {**floors, **by_family(configs, numbers)}
    evaluation = summary(families)
    raw = pd.DataFrame({"run": config.name, **numbers[config.name]} for config in configs)
    write_table(evaluation, folder / "evaluation", suite.origin(runs), raw=raw)

    true = tables["table1"].iloc[0]
    real = {"sharpness": float(true["sharpness"]), "sharpness_error": float(true["± (s.e.)"])}
    measured = {**means(families), "true": real}
    seeds = sorted({config.training.seed for config in configs})
    # What has fewer seeds stands beside each seed of the others with its mean.
    of_seeds = [by_family([c for c in configs if c.training.seed == seed], numbers) for seed in seeds]
    judgements = judge(measured, suite.incomparable, [{**measured, **means(of_one)} for of_one in of_seeds])
    shown = {**tables, "evaluation": evaluation}
    if not suite.incomparable:
        shown["goals"] = pd.DataFrame(map(asdict, goals(measured)))
    about = {"quick": suite.quick, **facts, "certificate": without_nan(certificate)}
    write_json(folder / "claims.json", {**about, "claims": [asdict(judgement) for judgement in judgements]})
    write_text(folder / "README.md", results_page(judgements, shown, certificate, facts, suite.quick))
    return judgements


def _time_taken(trained: list[Run], seconds: float, jobs: int) -> str:
    """Return how long it took, and how much of it was training; the rest is evaluation, figures and starting up."""
    training = sum(float(run.provenance.get("wall_seconds", math.nan)) for run in trained)
    here = trained and training < jobs * seconds  # else other machines have helped
    share = f", {training / (jobs * seconds):.0%} of it training, {jobs} at a time" if here else ""
    return f"took {seconds / 60:.1f} min{share}"


def paper_runs(suite: Suite, seeds: int, baseline_seeds: int) -> list[RunConfig]:
    """Return the runs that a reproduction needs, the long ones first so that no core waits for the last one."""
    pies = [suite.config("pie", d, seed, eps2) for seed in range(seeds) for d in DIMS for eps2 in EPS2_VALUES]
    # What the paper's loss alone gives up; too long for a first look.
    started = [
        suite.config("pie", LATENT_DIM, seed, EPS2_VALUES[0], reconstruction_start=RECONSTRUCTION_START)
        for seed in range(seeds)
    ]
    extensions = [suite.config("pie", LATENT_DIM, 0, EPS2_VALUES[0], RECONSTRUCTION_WEIGHT), *started]
    others = [suite.config(model, d, seed) for seed in range(baseline_seeds) for d in DIMS for model in ("vae", "wae")]
    return [*pies, *([] if suite.quick else extensions), *others]


def sharpness_runs(models: str, eps2: str | None) -> list[tuple[str, float | None]]:
    """Return the rows that --models and --eps2 (None: the paper's) ask for, as pairs of model and ε₀².

    Raises:
        UsageError: for an unknown model, a doubled one, an empty list, an ε₀² that is no number or has no PIE.
    """
    names = [name.strip() for name in models.split(",")]
    if unknown := [name for name in names if name not in MODELS]:
        raise UsageError(f"--models: {unknown[0]!r} is unknown; choose from {','.join(MODELS)}")
    if eps2 is not None and "pie" not in names:
        raise UsageError(f"--eps2 is an option of PIE and does not go with --models {models}")
    try:
        values = list(EPS2_VALUES) if eps2 is None else [float(value) for value in eps2.split(",")]
    except ValueError as error:
        raise UsageError(f"--eps2: {eps2!r} is not a comma-separated list of numbers") from error
    # A run's name has ε₀² as :g, so what looks the same there is the same.
    if len(set(names)) < len(names) or len({f"{value:g}" for value in values}) < len(values):
        raise UsageError("--models and --eps2 take each value once")
    pies: list[tuple[str, float | None]] = [("pie", value) for value in values if "pie" in names]
    return pies + [(name, None) for name in names if name != "pie"]


def print_table_1(suite: Suite, wanted: list[tuple[str, float | None]], train: bool) -> None:
    """Write and print Table 1 with the wanted rows, trained first where they are missing."""
    configs = [suite.config(model, SHARPNESS_LATENT_DIM, 0, eps2) for model, eps2 in wanted]
    tables = write_table_1(suite, configs, suite.evaluations(configs, train))
    title = f"Table 1: sharpness of samples, d = {SHARPNESS_LATENT_DIM}{' (quick runs)' if suite.quick else ''}"
    print_table(suite.console, tables["table1"], title, 3)
    print_table(suite.console, tables["audit"], "The same images under every convention in use", 3)
    suite.console.print(f"wrote table1 and table1_audit into {suite.place.results_dir}")


def print_evaluation(suite: Suite, folders: list[Path]) -> None:
    """Write and print the figures of merit of run folders, or of all finished runs of the data set in the folder."""
    runs = [finished_run(folder) for folder in folders]
    for run in runs:
        if run.config.training.dataset != suite.dataset_name:
            name = run.config.training.dataset
            raise UsageError(f"{run.folder} was trained on {name}; add --dataset {name}")
    if not folders:
        folder = suite.place.results_dir
        inside = sorted(folder.iterdir()) if folder.exists() else []  # unlike glob, it says where reading is forbidden
        own = [path for path in inside if path.resolve() != SHOWCASE.resolve()]
        found = [Run.open(path) for path in own if (path / "config.json").exists()]
        runs = [run for run in found if run.finished and run.config.training.dataset == suite.dataset_name]
    if not runs:
        raise PIEError(f"there is no finished run in {suite.place.results_dir}; train one with: pie train")
    labels = [run.config.label for run in runs]
    if doubled := next((label for label in labels if labels.count(label) > 1), None):
        raise UsageError(f"two of the runs are {doubled}; give each once")
    numbers: dict[str, list[dict[str, float]]] = {}
    for d in sorted({run.config.model.latent_dim for run in runs}):
        numbers[f"PCA d = {d}"] = [suite.pca(d)]
    for run in runs:
        suite.console.print(f"evaluating {run.config.label}")
        numbers[run.config.label] = [suite.evaluate(run).numbers]
    table = summary(numbers)
    raw = pd.DataFrame({"run": name, **values[0]} for name, values in numbers.items())
    files = write_table(table, suite.place.results_dir / "evaluation", suite.origin(runs), raw=raw)
    print_table(suite.console, table, f"{suite.dataset_name}, test set")
    for path in files:
        suite.console.print(f"wrote {path}")


def print_verdicts(suite: Suite, judgements: list[Judgement], strict: bool) -> None:
    """Print the verdicts; with `strict`, a claim that FAILS is an error (PIEError)."""
    for j in judgements:
        tendency = f" (the numbers so far: {j.tendency})" if j.tendency else ""
        suite.console.print(f"{j.claim}. {j.text} {j.verdict}{tendency}")
    suite.console.print(f"wrote {suite.place.results_dir / 'README.md'}")
    if strict and (failed := [str(j.claim) for j in judgements if j.verdict is Verdict.FAILS]):
        raise PIEError(f"--strict: claim {', '.join(failed)} FAILS; see {suite.place.results_dir / 'README.md'}")


def write_table_1(
    suite: Suite, configs: list[RunConfig], evaluations: Mapping[str, Evaluation]
) -> dict[str, pd.DataFrame]:
    """Write Table 1 of the runs with d = 8 and seed 0 among `configs`; return it as "table1", and its "audit"."""
    rows = {"true": table1.true_images(suite.dataset, suite.classifier)}
    chosen = [c for c in configs if c.model.latent_dim == SHARPNESS_LATENT_DIM and c.training.seed == 0]
    for config in sorted(chosen, key=lambda c: isinstance(c.model, PIEConfig)):  # the baselines first, as in the paper
        eps2 = f" ε₀² = {config.model.eps2:g}" if isinstance(config.model, PIEConfig) else ""
        rows[family(config).split("-")[0].upper() + eps2] = evaluations[config.name]
    table1.write(rows, suite.place.results_dir, suite.origin(map(suite.place.run, chosen)), suite.quick)
    return {"table1": table1.frame(rows), "audit": table1.audit_frame(rows)}


def certify(suite: Suite, evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """Return what shows that the trained, reloaded PIE with d = 10 and the smallest ε₀² is invertible."""
    config = suite.config("pie", LATENT_DIM, 0, EPS2_VALUES[0])
    model, numbers = suite.place.run(config).load_model(), evaluations[config.name].numbers
    assert isinstance(model, PIE)
    return {
        "test images": len(suite.dataset.test),
        "largest error of the exact inverse, float32": numbers["inverse_error"],
        "largest error of the exact inverse, float64": inverse_error(model, suite.dataset, torch.float64),
        "samples from N(0, 1)": numbers["samples"],
        "samples with a pixel that is not finite": numbers["samples_not_finite"],
    }


def draw_figures(suite: Suite, evaluations: Mapping[str, Evaluation]) -> None:
    """Draw Fig. 7, one column for each ε₀², Fig. 8, one panel for each, and Fig. 9, of the smallest ε₀²."""
    folder, columns, titles, paths, models = suite.place.results_dir, [], [], [], []
    quick = f", {in_epochs(suite.epochs)} (quick run)" if suite.quick else ""
    for eps2 in EPS2_VALUES:
        config = suite.config("pie", LATENT_DIM, 0, eps2)
        models.append(suite.place.run(config).load_model(suite.place.accelerator))
        columns.append(_column(suite, models[-1]) | {"plane": torch.from_numpy(evaluations[config.name].plane)})
        paths.append(_interpolations(suite, models[-1], MANY_INTERPOLATIONS).numpy())
        titles.append(f"ε₀² = {eps2:g}{quick}")
    arrays = [{name: tensor.numpy() for name, tensor in column.items()} for column in columns]
    labels = suite.dataset.test.labels.numpy()
    figures.save(figures.figure_7(arrays, labels, titles), folder / "fig7")
    named = zip(EPS2_VALUES, arrays, strict=True)
    figures.save_data(folder / "fig7", labels=labels, **{f"{k}_{eps2:g}": v for eps2, a in named for k, v in a.items()})
    figures.save(figures.panels(paths, titles), folder / "fig8")
    eps_paths = zip(EPS2_VALUES, paths, strict=True)
    figures.save_data(folder / "fig8", **{f"interpolations_{eps2:g}": path for eps2, path in eps_paths})
    codes, samples = prior_samples(models[0], SHEET, 1.0, seed=0)
    title = f"PIE, d = {LATENT_DIM}, {titles[0]}\n{SHEET} samples at N(0, 1), seed 0"
    figures.save(figures.image_grid(sheet(samples, 2 * COLUMNS).numpy(), title), folder / "fig9")
    figures.save_data(folder / "fig9", codes=codes.numpy(), samples=samples.numpy())


def _column(suite: Suite, model: Autoencoder) -> dict[str, torch.Tensor]:
    """Return the images of rows (a) to (d) of Fig. 7."""
    originals = clean(suite.dataset.test[:RECONSTRUCTIONS])
    return {
        "reconstructions": pair_rows(originals, in_batches(model.reconstruct, originals, model)),
        "samples": sheet(prior_samples(model, SAMPLES, 1.0, seed=0)[1]),
        "narrow": sheet(prior_samples(model, SAMPLES, math.sqrt(NARROW_VARIANCE), seed=0)[1]),
        "interpolations": _interpolations(suite, model, INTERPOLATIONS),
    }


def _interpolations(suite: Suite, model: Autoencoder, rows: int) -> torch.Tensor:
    """Return paths between the test images (0, 1), (2, 3), …: not chosen for their looks."""
    pairs = torch.arange(2 * rows).view(rows, 2)
    return interpolate(model, encode_pairs(model, suite.dataset.test, pairs), torch.linspace(0, 1, COLUMNS))[1]
