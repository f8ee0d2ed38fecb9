"""What sharpness, evaluate and reproduce share: the data, the classifier, the profile, and the evaluation of runs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console

from pie_cli.classifier import Classifier, load_or_train_classifier
from pie_cli.configuration import RunConfig, in_epochs
from pie_cli.data import Dataset, load_dataset
from pie_cli.devices import find_accelerator
from pie_cli.errors import PIEError
from pie_cli.evaluation import MEASURES, Evaluation, evaluate, evaluate_pca
from pie_cli.grid import Place, default_jobs, train_and_evaluate
from pie_cli.launch import check_configuration, run_config, train_command
from pie_cli.paper import DEFAULT_EPOCHS, PROFILE_EPOCHS
from pie_cli.provenance import command_line, git_commit, package_version, short_commit
from pie_cli.runs import Run

WORST = ("z_largest_mean", "samples_not_finite", "sample_round_trip", "inverse_error")  # not averaged over seeds


@dataclass(frozen=True)
class Suite:
    """Everything that is the same for all runs of a call.

    Arguments:
        dataset_name: trained and tested on.
        offline: whether to open no connection.
        place: where runs lie and compute.
        epochs: of each training.
        console: where progress is shown.
    """

    dataset_name: str
    offline: bool
    place: Place
    epochs: int
    console: Console

    @classmethod
    def prepare(
        cls,
        profile: str,
        dataset: str,
        data_dir: Path | None,
        offline: bool,
        results_dir: Path,
        device: str,
        jobs: int | None,
        console: Console,
    ) -> Suite:
        """Return the suite of a profile; the quick one has a folder of its own and never mixes with full runs."""
        accelerator = find_accelerator(device)
        folder = results_dir / "quick" if profile == "quick" else results_dir
        place = Place(folder, data_dir, accelerator, jobs or default_jobs(accelerator))
        return cls(dataset, offline, place, PROFILE_EPOCHS[profile], console)

    @cached_property
    def dataset(self) -> Dataset:
        """The images, fetched where they are missing; the quick profile looks at fewer test images."""
        dataset = load_dataset(self.dataset_name, self.place.data_dir, self.offline, self.console.print)
        return dataset.quick if self.quick else dataset

    @cached_property
    def classifier(self) -> Classifier:
        """What measures realism, trained where it is missing."""
        return load_or_train_classifier(
            self.place.results_dir, self.dataset.train, self.dataset_name, self.console.print
        )

    @property
    def quick(self) -> bool:
        """Whether the trainings are shorter than full ones."""
        return self.epochs < DEFAULT_EPOCHS

    @property
    def incomparable(self) -> str:
        """Why these runs do not compare with the paper's; empty if they do."""
        if self.quick:
            return "quick profile: trained too briefly to compare with the paper"
        return "" if self.dataset_name == "mnist" else f"the paper's images are MNIST's, not {self.dataset_name}"

    def config(
        self,
        model: str,
        latent_dim: int,
        seed: int,
        eps2: float | None = None,
        reconstruction: float | None = None,
        reconstruction_start: float | None = None,
    ) -> RunConfig:
        """Return the configuration of a run in this profile."""
        training = {"dataset": self.dataset_name, "seed": seed, "epochs": self.epochs}
        training |= {"reconstruction_start": reconstruction_start}
        return run_config(model, latent_dim, training, {"eps2": eps2, "reconstruction": reconstruction})

    def evaluations(
        self, configs: Sequence[RunConfig], train: bool = True, meanwhile: Callable[[], object] = lambda: None
    ) -> dict[str, Evaluation]:
        """Return the evaluation of each run by name; what is not trained yet is trained first, and announced.

        `meanwhile` is called while other processes train; not at all where nothing is to be done.

        Raises:
            PIEError: with `train` False, if a run is missing; the message names the commands that train it.
        """
        runs = {config.name: self.place.run(config) for config in configs}
        for run in runs.values():
            check_configuration(run)
        missing = [run.config for run in runs.values() if not run.finished]
        if missing and not train:
            commands = "; ".join(train_command(config, self.place.results_dir) for config in missing)
            raise PIEError(f"{len(missing)} of {len(runs)} runs are not trained; train them with: {commands}")
        if missing:
            profile, names = " (quick profile)" if self.quick else "", ", ".join(config.name for config in missing)
            self.console.print(
                f"training {len(missing)} of {len(runs)} runs{profile}, {in_epochs(self.epochs)} each, "
                f"{self.place.jobs} at a time, into {self.place.results_dir}: {names}"
            )
        if not all(run.evaluated for run in runs.values()):
            _ = self.dataset  # fetched before the workers, who open no connection, look for it
            train_and_evaluate(configs, self.place, self.console, lambda: (self.classifier, meanwhile()))
        return {name: self.evaluate(run) for name, run in runs.items()}

    def evaluate(self, run: Run) -> Evaluation:
        """Return the figures of merit of a finished run."""
        return evaluate(run, self.dataset, self.classifier, self.place.accelerator)

    def pca(self, latent_dim: int) -> dict[str, float]:
        """Return the figures of merit of PCA with d components."""
        return evaluate_pca(self.dataset, latent_dim, self.classifier)

    def facts(self, runs: Iterable[Run]) -> dict[str, str]:
        """Return where the numbers of these runs come from."""
        runs = list(runs)
        epochs = sorted({run.config.training.epochs for run in runs})
        origins = [run.provenance for run in runs]
        seconds = sum(float(facts.get("wall_seconds", math.nan)) for facts in origins)
        # Several machines may have shared the work.
        machines = {
            f"{facts.get('processor')}, {facts.get('device')}, threads: {facts.get('threads')}" for facts in origins
        }
        return {
            "command": command_line(),
            "data": self.dataset_name,
            "test images": f"{len(self.dataset.test):,}",
            "epochs of a training": ", ".join(map(str, epochs)),
            "seeds": ", ".join(sorted({str(run.config.training.seed) for run in runs})),
            "trained on": " and ".join(sorted(machines)),
            "training time of all runs": f"{seconds / 60:.0f} min",
            "trained at commit": ", ".join(sorted({short_commit(str(facts.get("commit"))) for facts in origins})),
            "version": f"{package_version()}, commit {git_commit() or 'unknown'}",
        }

    def origin(self, runs: Iterable[Run]) -> str:
        """Return `facts` as one line, for the note below a table."""
        return "; ".join(f"{name}: {value}" for name, value in self.facts(runs).items())


def family(config: RunConfig) -> str:
    """Return the name that runs share which differ only in their seed, without the data set: "pie-d10-eps0.01"."""
    parts = config.name.split("-")
    return "-".join(part for part in parts if part != config.training.dataset and not part.startswith("seed"))


def means(numbers: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean over seeds of each figure of merit, by family, of those in `WORST` the worst.

    The error of the sharpness is that of its mean: over the images and, with several seeds, over the trainings. The
    spread between trainings already has some of the images' error in it, so that this is rather too large.
    """
    averages = {}
    for name, runs in numbers.items():
        table = pd.DataFrame(runs)
        mean = _mean(table)
        if len(runs) > 1 and "sharpness" in table:
            variance = table["sharpness_error"].pow(2).mean() + table["sharpness"].var(ddof=1)
            mean["sharpness_error"] = math.sqrt(variance / len(runs))
        averages[name] = {str(measure): float(value) for measure, value in mean.items()}
    return averages


def _mean(runs: pd.DataFrame) -> pd.Series:
    """Return the mean over rows of each column, of those in `WORST` the largest; nan where one is nan."""
    mean = runs.mean(skipna=False)
    worst = [name for name in WORST if name in runs]
    mean[worst] = runs[worst].max(skipna=False)
    return mean


def by_family(
    configs: Iterable[RunConfig], numbers: Mapping[str, dict[str, float]]
) -> dict[str, list[dict[str, float]]]:
    """Return the figures of merit of all seeds, by family, given those of each run."""
    families = defaultdict(list)
    for config in configs:
        families[family(config)].append(numbers[config.name])
    return dict(families)


def summary(numbers: Mapping[str, Sequence[Mapping[str, float]]]) -> pd.DataFrame:
    """Return a table of the figures of merit, families as columns: as `means`, ± the standard deviation over seeds."""
    columns: dict[str, list[object]] = {"": list(MEASURES.values())}
    for name, runs in numbers.items():
        table = pd.DataFrame(runs).reindex(columns=list(MEASURES))
        mean, std = _mean(table), table.std(ddof=1)
        columns[name] = [
            _with_spread(mean[m], std[m]) if m not in WORST and std[m] > 0 else float(mean[m]) for m in MEASURES
        ]
    return pd.DataFrame(columns)


def _with_spread(mean: float, std: float) -> str:
    """Return mean ± standard deviation, the latter to one digit, and that as 20, not as 2e+01."""
    return f"{mean:.4g} ± {float(f'{std:.1g}'):g}"
