"""The commands that write and print a table: Table 1 and the evaluation of any runs."""

import shlex
from pathlib import Path

import pandas as pd

from pie_cli.config.run import CONFIGS
from pie_cli.constants import SHARPNESS_LATENT_DIM
from pie_cli.errors import PIEError, UsageError
from pie_cli.evaluation.evaluate import measures_of
from pie_cli.paper import table1
from pie_cli.paper.reproduce import write_table_1
from pie_cli.paper.suite import Suite
from pie_cli.paper.summary import summary
from pie_cli.plots.tables import print_table, write_table
from pie_cli.runs.find import check_shape, finished_run, finished_runs, images_of
from pie_cli.runs.folder import Run


def sharpness_rows(models: str, eps2: str | None) -> tuple[list[str], list[float] | None]:
    """Return the models and the values of ε₀² that the two lists ask for; None stands for the profile's values.

    Raises UsageError for an unknown model, a doubled one, an empty list, an ε₀² that is not a number or has no PIE.
    """
    names = [name.strip() for name in models.split(",")]
    if unknown := [name for name in names if name not in CONFIGS]:
        raise UsageError(f"`models`: {unknown[0]!r} is unknown; choose from {','.join(CONFIGS)}")
    if eps2 is not None and "pie" not in names:
        raise UsageError(f"`eps2` is an option of PIE and does not go with `models` {models}")
    try:
        values = None if eps2 is None else [float(value) for value in eps2.split(",")]
    except ValueError as error:
        raise UsageError(f"`eps2`: {eps2!r} is not a comma-separated list of numbers") from error
    # Two that differ in the seventh digit are a slip.
    if len(set(names)) < len(names) or (values and len({f"{value:g}" for value in values}) < len(values)):
        raise UsageError("`models` and `eps2` take each value once")
    return names, values


def print_table_1(suite: Suite, models: list[str], eps2: list[float] | None, train: bool) -> None:
    """Write and print Table 1 of these models, PIE at each ε₀² and recipe, trained first where they are missing.

    Raises UsageError if there is a recipe and no PIE among them.
    """
    if len(suite.recipes) == 1 and "pie" not in models:
        raise UsageError(f"`recipe` {suite.recipes[0]} is an option of PIE, which `models` leaves out")
    configs = [
        suite.config("pie", SHARPNESS_LATENT_DIM, 0, value, recipe)
        for recipe in suite.recipes
        for value in eps2 or suite.eps2_values(SHARPNESS_LATENT_DIM)
        if "pie" in models
    ]
    configs += [suite.config(model, SHARPNESS_LATENT_DIM, 0) for model in models if model != "pie"]
    rows = write_table_1(suite, list(map(suite.place.run, configs)), suite.evaluations(configs, train))
    quick = " (quick runs)" if suite.quick else ""
    title = f"Table 1: sharpness of samples, d = {SHARPNESS_LATENT_DIM}{quick}{suite.judged}"
    print_table(suite.console, table1.frame(rows), title, 3)
    title = "The same images under each convention that could be meant"
    print_table(suite.console, table1.audit_frame(rows), title, 3)
    suite.console.print(f"wrote table1 and table1_audit into {suite.place.results_dir}")


def print_evaluation(suite: Suite, folders: list[Path], named: bool) -> None:
    """Write and print the figures of merit of run folders, or of all finished runs of the data set in the folder.

    `named` says whether the user chose the images, as for a model that was trained elsewhere.
    """
    runs = [finished_run(folder, offline=suite.place.images.offline) for folder in folders]
    for run in runs:
        _check_images(suite, run, named)
    if not folders:
        data, report = suite.of_images.get("data"), suite.console.print
        runs = finished_runs(suite.place.results_dir, suite.dataset_name, data, report)
    if not runs:
        images = suite.place.images.name
        command = f"pie train{f' --dataset {shlex.quote(images)}' if images != 'mnist' else ''}"
        raise PIEError(f"there is no finished run in {suite.place.results_dir}; train one with: {command}")
    labels = [run.label for run in runs]
    if doubled := next((label for label in labels if labels.count(label) > 1), None):
        raise UsageError(f"two of the runs are {doubled}; give each once")
    dims = sorted({run.config.model.latent_dim for run in runs})
    numbers = {f"PCA d = {d}": [suite.pca(d)] for d in dims}
    for run in runs:
        suite.console.print(f"evaluating {run.label}")
        numbers[run.label] = [suite.evaluate(run).numbers]
    table = summary(numbers, measures_of(suite.dataset.classes))
    raw = pd.DataFrame({"run": name, **values[0]} for name, values in numbers.items())
    files = write_table(table, suite.place.results_dir / "evaluation", suite.origin(runs), raw=raw)
    print_table(suite.console, table, f"{suite.dataset_name}, test set{suite.judged}")
    for path in files:
        suite.console.print(f"wrote {path}")


def _check_images(suite: Suite, run: Run, named: bool) -> None:
    """Raise UsageError unless the suite's images are those of the run, or can be taken for them."""
    config = run.config
    if config.training is None:
        images_of(run, suite.place.images if named else None, suite.place.images)
        check_shape(run, suite.dataset.image_shape, suite.dataset_name)
        return
    advice = "leave out `dataset`" if named else "evaluate it apart from the others"
    if config.dataset != suite.dataset_name:
        raise UsageError(f"{run.folder} was trained on {config.dataset}, not on {suite.dataset_name}; {advice}")
    if config.data != suite.of_images.get("data"):
        place = suite.place.images.name
        raise UsageError(f"{run.folder} was trained on other images than those in {place}; {advice}")
