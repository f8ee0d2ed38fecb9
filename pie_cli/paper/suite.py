"""What sharpness, evaluate and reproduce share: the data, the classifier, the profile, and the evaluation of runs."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from pie_cli.config.naming import QUICK, run_config, run_name, train_command
from pie_cli.config.recipes import COMPARED, RECIPES, Recipe
from pie_cli.config.run import FULL_EPOCHS, QUICK_TRAIN_IMAGES, RunConfig, in_epochs
from pie_cli.constants import EPS2_VALUES, SHARPNESS_LATENT_DIM
from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource
from pie_cli.data.progress import load_images
from pie_cli.errors import PIEError
from pie_cli.evaluation.cache import FORMAT, Evaluation, judgement_of, remembered
from pie_cli.evaluation.evaluate import evaluate
from pie_cli.evaluation.floors import evaluate_normal, evaluate_pca
from pie_cli.io.provenance import command_line, git_commit, package_version, short_commit
from pie_cli.io.text import number
from pie_cli.jobs.cluster import train_on_cluster
from pie_cli.jobs.grid import train_and_evaluate
from pie_cli.jobs.place import Cluster, Place
from pie_cli.metrics.realism import Panel
from pie_cli.models.config import PIEConfig
from pie_cli.runs.folder import Run
from pie_cli.runtime import compiles, cores, find_accelerator, visible_gpus
from pie_cli.training.launch import check_configuration

PROFILE_EPOCHS = {"quick": 1, "paper": FULL_EPOCHS}


@dataclass(frozen=True)
class Suite:
    """Everything that is the same for all runs of a call."""

    place: Place  # where images and runs lie, and where to compute
    epochs: int  # of each training
    console: Console  # where progress is shown
    recipes: Sequence[Recipe] = COMPARED  # of the PIEs, side by side

    @classmethod
    def prepare(
        cls, console: Console, images: ImageSource, results_dir: Path, device: str,
        profile: str = "paper", jobs: int | None = None, recipe: Recipe | None = None, scheduler: str | None = None,
        compiled: bool = False,
    ) -> Self:  # fmt: skip
        """Return the suite of a profile; the quick one has a folder of its own and never mixes with full runs.

        Without a `recipe` it has those that the paper's claims are judged of. A `scheduler` is that of a `Place`; with
        an address, its workers find the `device`, and decide how many runs are trained at once.
        """
        cluster = Cluster.of(scheduler, device, jobs) if scheduler else None
        elsewhere = cluster is not None and not cluster.is_local
        accelerator = find_accelerator("auto" if elsewhere else device)
        folder = results_dir / QUICK if profile == "quick" else results_dir
        gpus = visible_gpus() if accelerator == "cuda" else ()
        jobs = 0 if elsewhere else jobs or (cores() if accelerator == "cpu" else len(gpus) or 1)
        compiled = compiled if elsewhere else compiles(compiled, accelerator, console.print)
        place = Place(folder, images, accelerator, jobs, gpus, cluster, compiled)
        return cls(place, PROFILE_EPOCHS[profile], console, (recipe,) if recipe else COMPARED)

    @cached_property
    def dataset(self) -> Dataset:
        """The images, fetched where they are missing; the quick profile looks at fewer test images."""
        dataset = load_images(self.place.images, self.console)
        return dataset.quick if self.quick else dataset

    @cached_property
    def of_images(self) -> dict[str, Any]:
        """What the configuration of every run says of the images."""
        return self.place.images.settings(lambda: self.dataset)

    @property
    def dataset_name(self) -> str:
        """What the images are called."""
        return str(self.of_images["dataset"])

    @cached_property
    def panel(self) -> Panel:
        """What measures realism, trained where it is missing."""
        return Panel.load_or_train(self.place.results_dir, self.dataset, self.console.print)

    @property
    def accuracy(self) -> float:
        """How often the classifiers, on which the measures of realism rest, are right about the test images."""
        return self.panel.accuracy(self.dataset.test.labels)

    @property
    def judged(self) -> str:
        """What the title of a table says of it."""
        return f"; classifiers' accuracy {rounded(self.accuracy)}" if self.panel.judges else ""

    @property
    def quick(self) -> bool:
        """Whether the trainings are shorter than full ones."""
        return self.epochs < FULL_EPOCHS

    @property
    def incomparable(self) -> str:
        """Why these runs do not compare with the paper's; empty if they do."""
        if self.quick:
            return "quick profile: trained too briefly to compare with the paper"
        return "" if self.dataset_name == "mnist" else f"the paper's images are MNIST's, not {self.dataset_name}"

    def config(
        self, model: str, latent_dim: int, seed: int, eps2: float | None = None, recipe: Recipe = "stable",
        **settings: Any,
    ) -> RunConfig:  # fmt: skip
        """Return the configuration of a run in this profile."""
        settings = {"latent_dim": latent_dim, "seed": seed, **self.of_images, **settings}
        settings |= {"train_images": QUICK_TRAIN_IMAGES} if self.quick else {}
        return run_config(model, recipe, epochs=self.epochs, eps2=eps2, **settings)

    def eps2_values(self, latent_dim: int) -> Sequence[float]:
        """Return ε₀² of the PIEs with d: the paper's three; where a quick run looks at sharpness, the first alone."""
        return EPS2_VALUES[:1] if self.quick and latent_dim == SHARPNESS_LATENT_DIM else EPS2_VALUES

    def title(self, recipe: Recipe, eps2: float) -> str:
        """Return what figures call the PIE of a recipe and ε₀²."""
        return f"{recipe}, ε₀² = {number(eps2)}{f', {in_epochs(self.epochs)} (quick run)' if self.quick else ''}"

    def evaluations(
        self, configs: Sequence[RunConfig], train: bool = True, meanwhile: Callable[[], object] = lambda: None
    ) -> dict[str, Evaluation]:
        """Return the evaluation of each run by name; what is not trained yet is trained first, and announced.

        `meanwhile` is called while other processes train; not at all where nothing is to be done. Without `train`, a
        missing run raises PIEError, which names the commands that train it.
        """
        runs = {run_name(config): self.place.run(config) for config in configs}
        for run in runs.values():
            check_configuration(run)
        missing = [run.config for run in runs.values() if not run.finished]
        if missing and not train:
            commands = "; ".join(train_command(config, self.place.results_dir) for config in missing)
            raise PIEError(f"{len(missing)} of {len(runs)} runs are not trained; train them with: {commands}")
        if missing:
            profile, names = " (quick profile)" if self.quick else "", ", ".join(map(run_name, missing))
            images = f" of at most {QUICK_TRAIN_IMAGES:,} images" if self.quick else ""
            self.console.print(
                f"training {len(missing)} of {len(runs)} runs{profile}, {in_epochs(self.epochs)} each{images}, "
                f"{self.place.at_once}, into {self.place.results_dir}: {names}"
            )
        if not all(run.evaluated for run in runs.values()):
            _ = self.dataset  # fetched before the workers, who open no connection, look for it
            engine = train_on_cluster if self.place.cluster else train_and_evaluate
            engine(configs, self.place, self.console, lambda: (self.panel, meanwhile()))
        return {name: self.evaluate(run) for name, run in runs.items()}

    def evaluate(self, run: Run) -> Evaluation:
        """Return the figures of merit of a finished run."""
        return evaluate(run, self.dataset, self.panel, self.place.accelerator)

    def floors(self, latent_dims: Iterable[int]) -> dict[str, dict[str, float]]:
        """Return the figures of merit of PCA with d components, "pca-d10", and of draws of N(0, I_d), "normal-d10"."""
        found = dict[str, dict[str, float]]()
        for d in latent_dims:
            found |= {f"pca-d{d}": self.pca(d), f"normal-d{d}": self.normal(d)}
        return found

    def pca(self, latent_dim: int) -> dict[str, float]:
        """Return the figures of merit of PCA with d components."""
        return self._floor(f"pca-d{latent_dim}", lambda: evaluate_pca(self.dataset, latent_dim, self.panel, self.quick))

    def normal(self, latent_dim: int) -> dict[str, float]:
        """Return the figures of merit of draws of N(0, I_d)."""
        count = len(self.dataset.test)
        return self._floor(f"normal-d{latent_dim}", lambda: evaluate_normal(count, latent_dim, self.quick))

    def _floor(self, name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return what was measured once, and lies in the folder of the runs since."""
        key = f"{FORMAT} {self.quick} {self.dataset.train.sha256} {judgement_of(self.dataset, self.panel)}"
        (folder := self.place.results_dir / "floors").mkdir(parents=True, exist_ok=True)
        return remembered(folder / f"{name}.json", key, measure)

    def facts(self, runs: Iterable[Run]) -> dict[str, str]:
        """Return where the numbers of these runs come from."""
        runs = list(runs)
        origins = [run.provenance for run in runs]
        trainings = [run.config.training for run in runs if run.config.training]
        used = {run.config.recipe for run in runs if isinstance(run.config.model, PIEConfig)}
        seconds = sum(float(facts.get("wall_seconds", math.nan)) for facts in origins)
        # Several machines may have shared the work.
        machines = {f"{of.get('processor')}, {of.get('device')}, threads: {of.get('threads')}" for of in origins}
        return {
            "command": command_line(),
            "recipes": ", ".join(recipe for recipe in RECIPES if recipe in used) or "none",
            "data": self.dataset_name,
            "test images": f"{len(self.dataset.test):,}",
            "classifiers' accuracy on them": rounded(self.accuracy),
            "epochs of a training": ", ".join(map(str, sorted({one.epochs for one in trainings}))) or "unknown",
            "seeds": ", ".join(sorted({str(one.seed) for one in trainings})) or "unknown",
            "trained on": " and ".join(sorted(machines)),
            "training time of all runs": f"{seconds / 60:.0f} min",
            "trained at commit": ", ".join(sorted({short_commit(str(facts.get("commit"))) for facts in origins})),
            "version": f"{package_version()}, commit {git_commit() or 'unknown'}",
        }

    def origin(self, runs: Iterable[Run]) -> str:
        """Return `facts` as one line, for the note below a table."""
        return "; ".join(f"{name}: {value}" for name, value in self.facts(runs).items())


def rounded(share: float) -> str:
    """Return a share as a text; a dash where it is unknown."""
    return "–" if math.isnan(share) else f"{share:.3f}"
