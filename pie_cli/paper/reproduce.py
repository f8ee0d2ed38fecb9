"""The whole paper: every run that it needs, its figures and tables, and the verdict on each of its claims."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

import pandas as pd
import torch

from pie_cli.config.naming import family, run_name
from pie_cli.config.recipes import RECIPES
from pie_cli.config.run import RunConfig
from pie_cli.constants import EPS2_VALUES, LATENT_DIM, SHARPNESS_LATENT_DIM
from pie_cli.errors import PIEError
from pie_cli.evaluation.cache import Evaluation, without_nan
from pie_cli.evaluation.evaluate import inverse_error
from pie_cli.io.files import write_json, write_text
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.paper import table1
from pie_cli.paper.claims import Judgement, Verdict, judge
from pie_cli.paper.figures import draw_figures
from pie_cli.paper.goals import RECONSTRUCTION_WEIGHT, goals
from pie_cli.paper.page import results_page
from pie_cli.paper.suite import Suite
from pie_cli.paper.summary import means, summary
from pie_cli.plots.tables import write_table
from pie_cli.runs.folder import Run

DIMS = (LATENT_DIM, SHARPNESS_LATENT_DIM)


def reproduce(suite: Suite, seeds: int, baseline_seeds: int) -> list[Judgement]:
    """Train what is missing, draw Fig. 7 to 9, write Table 1, the evaluation and the page of results; return verdicts.

    Every PIE has `seeds` seeds, VAE and WAE have `baseline_seeds`. Figures and Table 1 show seed 0, verdicts and
    evaluation the means.
    """
    started = time.monotonic()
    configs = paper_runs(suite, seeds, baseline_seeds)
    runs = [suite.place.run(config) for config in configs]
    missing = [run for run in runs if not run.finished]
    pca = cache(suite.pca)
    evaluations = suite.evaluations(configs, meanwhile=lambda: [pca(d) for d in DIMS])
    suite.console.print(f"drawing Fig. 7, 8 and 9 and writing the tables into {suite.place.results_dir}")
    draw_figures(suite, evaluations)
    judgements = write_page(suite, runs, evaluations, {f"pca-d{d}": [pca(d)] for d in DIMS})
    suite.console.print(_time_taken(missing, time.monotonic() - started, suite.place.jobs))
    return judgements


def write_page(
    suite: Suite, runs: list[Run], evaluations: dict[str, Evaluation], floors: dict[str, list[dict[str, float]]]
) -> list[Judgement]:
    """Write Table 1, the evaluation of all runs and of PCA, the verdicts, and README.md, which shows all."""
    folder, facts, configs = suite.place.results_dir, suite.facts(runs), [run.config for run in runs]
    certificate, rows = certify(suite, evaluations), write_table_1(suite, configs, evaluations)
    numbers = {name: evaluation.numbers for name, evaluation in evaluations.items()}
    families = {**floors, **suite.by_family(configs, numbers)}
    labels = {family(config, implied=suite.recipe): family(config) for config in configs}
    evaluation = summary({labels.get(name, name): values for name, values in families.items()})
    raw = pd.DataFrame({"run": run.name, **numbers[run.name]} for run in runs)
    write_table(evaluation, folder / "evaluation", suite.origin(runs), raw=raw)

    true = rows[0].of.numbers
    real = {name: true[name] for name in ("sharpness", "sharpness_error")}
    measured = {**means(families), "true": real}
    seeds = sorted({config.resolved.seed for config in configs})
    # What has fewer seeds stands beside each seed of the others with its mean.
    of_seeds = [suite.by_family([c for c in configs if c.resolved.seed == seed], numbers) for seed in seeds]
    judgements = judge(measured, suite.incomparable, [{**measured, **means(of_one)} for of_one in of_seeds])
    shown = {"table1": table1.frame(rows), "audit": table1.audit_frame(rows), "evaluation": evaluation}
    if not suite.incomparable and suite.recipe == "stable":
        shown["goals"] = pd.DataFrame(map(asdict, goals(measured)))
    about = {"quick": suite.quick, **facts, "certificate": without_nan(certificate)}
    write_json(folder / "claims.json", {**about, "claims": [asdict(judgement) for judgement in judgements]})
    anneals = any(config.resolved.anneal for config in configs)
    write_text(folder / "README.md", results_page(judgements, shown, certificate, facts, suite.quick, anneals))
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
    others = [suite.config(model, d, seed) for seed in range(baseline_seeds) for d in DIMS for model in ("vae", "wae")]
    if suite.quick or suite.recipe != "stable":
        return [*pies, *others]
    # What the paper's loss alone gives up; too long for a first look.
    tight, warm = EPS2_VALUES[0], RECIPES["warm"].settings
    extensions = [suite.config("pie", LATENT_DIM, 0, tight, reconstruction=RECONSTRUCTION_WEIGHT)]
    extensions += [suite.config("pie", LATENT_DIM, seed, tight, **warm) for seed in range(seeds)]
    return [*pies, *extensions, *others]


def write_table_1(suite: Suite, configs: list[RunConfig], evaluations: Mapping[str, Evaluation]) -> list[table1.Row]:
    """Write Table 1 of the runs with d = 8 and seed 0 among `configs`; return its rows, the true images first."""
    rows = [table1.true_images(suite.dataset, suite.classifier)]
    chosen = [c for c in configs if c.model.latent_dim == SHARPNESS_LATENT_DIM and c.resolved.seed == 0]
    for config in sorted(chosen, key=lambda c: isinstance(c.model, PIEConfig)):  # the baselines first, as in the paper
        rows.append(table1.row_of(config, evaluations[run_name(config)]))
    table1.write(rows, suite.place.results_dir, suite.origin(map(suite.place.run, chosen)), suite.quick)
    return rows


def certify(suite: Suite, evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """Return what shows that the trained, reloaded PIE with d = 10 and the smallest ε₀² is invertible."""
    run = suite.place.run(suite.config("pie", LATENT_DIM, 0, EPS2_VALUES[0]))
    model, numbers = run.load_model(), evaluations[run.name].numbers
    assert isinstance(model, PIE)
    return {
        "test images": len(suite.dataset.test),
        "largest error of the exact inverse, float32": numbers["inverse_error"],
        "largest error of the exact inverse, float64": inverse_error(model, suite.dataset, torch.float64),
        "samples from N(0, 1)": numbers["samples"],
        "samples with a pixel that is not finite": numbers["samples_not_finite"],
    }


def print_verdicts(suite: Suite, judgements: list[Judgement], strict: bool) -> None:
    """Print the verdicts; with `strict`, a claim that FAILS is an error (PIEError)."""
    for j in judgements:
        tendency = f" (the numbers so far: {j.tendency})" if j.tendency else ""
        suite.console.print(f"{j.claim}. {j.text} {j.verdict}{tendency}")
    suite.console.print(f"wrote {suite.place.results_dir / 'README.md'}")
    if strict and (failed := [str(j.claim) for j in judgements if j.verdict is Verdict.FAILS]):
        raise PIEError(f"`strict`: claim {', '.join(failed)} FAILS; see {suite.place.results_dir / 'README.md'}")
