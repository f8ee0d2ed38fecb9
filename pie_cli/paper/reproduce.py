"""The whole paper: every run that it needs, its figures and tables, and the verdict on each of its claims."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from pie_cli.config.naming import family, run_name
from pie_cli.config.recipes import Recipe
from pie_cli.config.run import RunConfig
from pie_cli.constants import EPS2_VALUES, LATENT_DIM, SHARPNESS_LATENT_DIM
from pie_cli.errors import PIEError
from pie_cli.evaluation.cache import Evaluation, without_nan
from pie_cli.evaluation.evaluate import measures_of
from pie_cli.io.files import write_json, write_text
from pie_cli.models.config import PIEConfig
from pie_cli.paper import table1
from pie_cli.paper.claims import MIN_SEEDS, Judgement, Numbers, Verdict, judge
from pie_cli.paper.figures import draw_figures
from pie_cli.paper.goals import RECONSTRUCTION_WEIGHT, goals
from pie_cli.paper.page import results_page
from pie_cli.paper.report import results_report
from pie_cli.paper.suite import Suite
from pie_cli.paper.summary import means, summary
from pie_cli.plots.tables import write_table
from pie_cli.runs.folder import Run

DIMS = (LATENT_DIM, SHARPNESS_LATENT_DIM)
Verdicts = dict[Recipe, list[Judgement]]


def reproduce(suite: Suite, seeds: int | None, baseline_seeds: int | None) -> Verdicts:
    """Train what is missing, draw Fig. 7 to 9, write Table 1, the evaluation and the page of results; return verdicts.

    Every PIE has `seeds` seeds (None: as many as a verdict needs; of quick runs one), VAE and WAE have `baseline_seeds`
    (None: as many as PIE). Figures and Table 1 show seed 0, the evaluation shows means, and verdicts compare seed by
    seed.
    """
    started = time.monotonic()
    seeds = seeds or (1 if suite.quick else MIN_SEEDS)
    configs = paper_runs(suite, seeds, baseline_seeds or seeds)
    runs = [suite.place.run(config) for config in configs]
    missing = [run for run in runs if not run.finished]
    dims = DIMS[:1] if suite.quick else DIMS
    evaluations = suite.evaluations(configs, meanwhile=lambda: suite.floors(dims))
    verdicts = present(suite, runs, evaluations, suite.floors(dims))
    suite.console.print(_time_taken(missing, time.monotonic() - started, suite.place.jobs))
    return verdicts


def present(
    suite: Suite, runs: list[Run], evaluations: Mapping[str, Evaluation], floors: Mapping[str, Numbers]
) -> Verdicts:
    """Draw the figures, write Table 1, the evaluation of all runs and of the floors, README.md and report.html.

    Return the verdicts.
    """
    folder, facts, configs = suite.place.results_dir, suite.facts(runs), [run.config for run in runs]
    suite.console.print(f"drawing Fig. 7, 8 and 9 and writing the tables into {folder}")
    for recipe in suite.recipes:
        draw_figures(suite, recipe, evaluations)
    rows = write_table_1(suite, runs, evaluations)
    floors = {**floors, "true": rows[0].of.numbers}
    numbers = {name: evaluation.numbers for name, evaluation in evaluations.items()}
    families = {name: [of] for name, of in floors.items()} | by_family(configs, numbers)
    evaluation = summary(families, measures_of(suite.dataset.classes))
    raw = pd.DataFrame({"run": run.name, **numbers[run.name]} for run in runs)
    write_table(evaluation, folder / "evaluation", suite.origin(runs), raw=raw)

    measured = {recipe: of_recipe(recipe, configs, numbers, floors) for recipe in suite.recipes}
    verdicts = {recipe: judge(of, suite.incomparable) for recipe, of in measured.items()}
    certificates = {recipe: certify(suite, recipe, numbers) for recipe in suite.recipes}
    shown = {"table1": table1.frame(rows), "audit": table1.audit_frame(rows), "evaluation": evaluation}
    if not suite.incomparable and "stable" in measured:
        of_ours, of_letter = (means(measured.get(recipe, {})) for recipe in ("stable", "letter"))
        shown["goals"] = pd.DataFrame(map(asdict, goals(of_ours, of_letter)))
    about = {
        "quick": suite.quick,
        **facts,
        "certificates": {name: without_nan(of) for name, of in certificates.items()},
    }
    claims = {recipe: [asdict(judgement) for judgement in of] for recipe, of in verdicts.items()}
    write_json(folder / "claims.json", {**about, "claims": claims})
    page = results_page(verdicts, shown, certificates, facts, suite.quick)
    write_text(folder / "README.md", page)
    write_text(folder / "report.html", results_report(page, runs, folder))
    return verdicts


def by_family(
    configs: Iterable[RunConfig], numbers: Mapping[str, Numbers], implied: Recipe = "stable"
) -> dict[str, list[Numbers]]:
    """Return the numbers of each run, by name, grouped over seeds; the `implied` recipe goes without saying."""
    families = defaultdict(list)
    for config in sorted(configs, key=lambda config: config.resolved.seed):
        families[family(config, implied)].append(numbers[run_name(config)])
    return dict(families)


def of_recipe(
    recipe: Recipe, configs: Sequence[RunConfig], numbers: Mapping[str, Numbers], floors: Mapping[str, Numbers]
) -> dict[str, list[Numbers]]:
    """Return what the claims of one recipe rest on: its PIEs, the other models, and beside each seed the floors."""
    seeds = len({config.resolved.seed for config in configs})
    chosen = [c for c in configs if c.recipe == recipe or not isinstance(c.model, PIEConfig)]
    if recipe == "stable":  # what starts from it is compared with it
        chosen += [c for c in configs if c.recipe == "warm"]
    return {**{name: [of] * seeds for name, of in floors.items()}, **by_family(chosen, numbers, implied=recipe)}


def _time_taken(trained: list[Run], seconds: float, jobs: int) -> str:
    """Return how long it took, and how much of it was training; the rest is evaluation, figures and starting up."""
    training = sum(float(run.provenance.get("wall_seconds", math.nan)) for run in trained)
    here = trained and training < jobs * seconds  # else other machines have helped
    share = f", {training / (jobs * seconds):.0%} of it training, {jobs} at a time" if here else ""
    return f"took {seconds / 60:.1f} min{share}"


def paper_runs(suite: Suite, seeds: int, baseline_seeds: int) -> list[RunConfig]:
    """Return the runs that a reproduction needs, the long ones first so that no core waits for the last one."""
    pies = [
        suite.config("pie", d, seed, eps2, recipe)
        for seed in range(seeds)
        for recipe in suite.recipes
        for d in DIMS
        for eps2 in suite.eps2_values(d)
    ]
    others = [suite.config(model, d, seed) for seed in range(baseline_seeds) for d in DIMS for model in ("vae", "wae")]
    if suite.quick or "stable" not in suite.recipes:
        return [*pies, *others]
    # What the paper's loss alone gives up; too long for a first look.
    tight = EPS2_VALUES[0]
    extensions = [suite.config("pie", LATENT_DIM, 0, tight, reconstruction=RECONSTRUCTION_WEIGHT)]
    extensions += [suite.config("pie", LATENT_DIM, seed, tight, "warm") for seed in range(seeds)]
    return [*pies, *extensions, *others]


def write_table_1(suite: Suite, runs: Iterable[Run], evaluations: Mapping[str, Evaluation]) -> list[table1.Row]:
    """Write Table 1 of the runs with d = 8 and seed 0; return its rows, the true images first."""
    rows = [table1.true_images(suite.dataset, suite.panel)]
    chosen = [
        run for run in runs if run.config.model.latent_dim == SHARPNESS_LATENT_DIM and run.config.resolved.seed == 0
    ]
    for run in sorted(chosen, key=lambda run: isinstance(run.config.model, PIEConfig)):  # baselines first, as there
        rows.append(table1.row_of(run.config, evaluations[run.name]))
    table1.write(rows, suite.place.results_dir, suite.origin(chosen), suite.quick)
    return rows


def certify(suite: Suite, recipe: Recipe, numbers: Mapping[str, Numbers]) -> dict[str, float]:
    """Return what shows that the trained PIE of a recipe, with d = 10 and the smallest ε₀², is invertible."""
    of = numbers[run_name(suite.config("pie", LATENT_DIM, 0, EPS2_VALUES[0], recipe))]
    return {
        "test images": len(suite.dataset.test),
        "largest error of the exact inverse, float32": of["inverse_error"],
        "largest error of the exact inverse, float64, on a tenth of them": of["inverse_error_float64"],
        "samples from N(0, 1)": of["samples"],
        "samples with a pixel that is not finite": of["samples_not_finite"],
    }


def print_verdicts(suite: Suite, verdicts: Verdicts, strict: bool) -> None:
    """Print the verdicts; with `strict`, a claim that FAILS is an error (PIEError)."""
    page, failed = suite.place.results_dir / "README.md", []
    for recipe, judgements in verdicts.items():
        for j in judgements:
            tendency = f" (the numbers so far: {j.tendency})" if j.tendency else ""
            suite.console.print(f"{recipe}, {j.claim}. {j.text} {j.verdict}{tendency}")
        failed += [f"{j.claim} ({recipe})" for j in judgements if j.verdict is Verdict.FAILS]
    suite.console.print(f"wrote {page} and {page.with_name('report.html')}")
    if strict and failed:
        raise PIEError(f"`strict`: claim {', '.join(failed)} FAILS; see {page}")
