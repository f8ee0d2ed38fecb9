"""The commands that are about many runs: they parse, call and print, like those of `app`."""

from __future__ import annotations

from typing import Annotated

from pie_cli import constants as paper
from pie_cli.cli import given
from pie_cli.cli.console import out, say
from pie_cli.cli.options import ImagesChoice, Place, Profile, ResultsArgument, RunsArgument, SuiteChoice, expanded, opt
from pie_cli.config.naming import RESULTS
from pie_cli.io.text import number


@expanded
def sharpness(
    choice: SuiteChoice,
    which: ImagesChoice,
    profile: Profile,
    place: Place,
    models: Annotated[str, opt("Models in the table, comma-separated.")] = "pie,vae,wae",
    eps2: Annotated[
        str | None,
        opt("ε₀² of PIE's rows, comma-separated.", f"{','.join(map(number, paper.EPS2_VALUES))}; quick: the first"),
    ] = None,
    no_train: Annotated[bool, opt("Fail instead of training missing runs.", True, None, "--no-train")] = False,
) -> None:
    """Table 1: sharpness and realism of 10,000 samples (quick: 1,000) at d = 8; trains missing runs."""
    from pie_cli.paper.tables import print_table_1, sharpness_rows

    names, values = sharpness_rows(models, eps2)
    print_table_1(given.suite(choice, given.Images(which, place), place, profile), names, values, train=not no_train)


@expanded
def evaluate(which: ImagesChoice, place: Place, runs: RunsArgument = None) -> None:
    """Every measure of trained runs, beside PCA of the same dimension."""
    from pie_cli.paper.tables import print_evaluation

    suite = given.evaluation(runs or [], given.Images(which, place), place)
    print_evaluation(suite, runs or [], "dataset" in which)


@expanded
def reproduce(
    choice: SuiteChoice,
    which: ImagesChoice,
    profile: Profile,
    place: Place,
    seeds: Annotated[
        int | None,
        opt(
            "Number of seeds of each PIE; tables show mean ± std, and a verdict needs 3.",
            "3; quick: 1",
            min=1,
            max=1000,
        ),
    ] = None,
    baseline_seeds: Annotated[int | None, opt("Number of seeds of VAE and WAE.", "--seeds", min=1, max=1000)] = None,
    strict: Annotated[bool, opt("Exit with 1 if a claim FAILS.", True, None, "--strict")] = False,
) -> None:
    """The whole paper: trains missing runs, draws Fig. 7 to 9, writes Table 1 and a verdict on each claim.

    Start it several times on one --results-dir, on one machine or several, and the processes share the work.
    """
    from pie_cli.paper import reproduce as whole

    suite = given.suite(choice, given.Images(which, place), place, profile)
    whole.print_verdicts(suite, whole.reproduce(suite, seeds, baseline_seeds), strict)


@expanded
def status(results: ResultsArgument = RESULTS) -> None:
    """What every run in a folder is at, whoever trains it: running, finished, stopped, failed and why, or dead."""
    from pie_cli.jobs.status import status as table_of
    from pie_cli.plots.tables import print_table

    print_table(out, table_of(results, say), str(results))
