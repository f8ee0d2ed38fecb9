"""A run folder: what was trained, on what, with which result.

config.json            the resolved configuration
weights.safetensors    the trained model; present once training has finished
coding.safetensors     tables for compressed files, made when they are first needed (see `codec.tables`)
checkpoint.safetensors everything that an interrupted training needs to resume; removed when it has finished
checkpoint.previous.safetensors  the one before, for when the newest is damaged; removed likewise
metrics.csv            one row per epoch
provenance.json        versions, commit, machine, command, wall time
heartbeat.json         what the process that works here says of it; removed when all has gone well
figures/               what the figure commands draw
.lock                  locked by the process that trains or evaluates here; empty, and never removed

In a folder that was exported for a model hub, the weights are called model.safetensors, and of the rest there is only
config.json.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pie_cli.config.naming import run_label, run_name
from pie_cli.config.run import RunConfig
from pie_cli.errors import PIEError, UnusableRun
from pie_cli.io.files import LARGEST_JSON, read_bytes, read_json, write_json
from pie_cli.io.locks import lock
from pie_cli.io.tensors import LARGEST_FILE, Metadata, Tensors, load_newest, load_tensors, save_tensors
from pie_cli.io.text import one_line
from pie_cli.models.base import Autoencoder
from pie_cli.models.registry import LAYOUT, Build, build_model, plain_copy, restore_model
from pie_cli.runs.heartbeat import FILE, Heartbeat

if TYPE_CHECKING:
    import pandas as pd

CODING = "coding.safetensors"  # of what is made of a model's weights, and goes with them
LONGEST = 1e12  # seconds of a training; more is no time
CARD = "README.md"  # of a folder that was exported for a model hub
SHARED_WEIGHTS = "model.safetensors"  # what model hubs call the weights


@dataclass(frozen=True)
class Run:
    """A run folder and its configuration.

    Example:
        >>> run = Run.open(Path("results/pie-d10-eps0.01-seed0"))
        >>> model = run.load_model()
    """

    folder: Path
    config: RunConfig
    figures_folder: Path | None = None  # where figures go, if not into the run's own folder
    build: Build = build_model  # makes the model; a study passes one of its own

    @property
    def name(self) -> str:
        """The folder's name according to the configuration."""
        return run_name(self.config)

    @property
    def label(self) -> str:
        """What figures and tables call the run."""
        return run_label(self.config)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Return the run in `folder`. Raises PIEError if there is none, or its config.json cannot be understood."""
        path = folder / "config.json"
        try:
            return cls(folder, RunConfig.from_dict(read_json(path)))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PIEError(f"{folder} is not a run folder: it has no config.json") from error
        except OSError as error:
            raise PIEError(f"cannot read {path}: {error.strerror or error}; fix that") from error
        except ValueError as error:
            reason = str(error).replace("`", "")
            raise UnusableRun(path, f"{path} cannot be understood: {reason}") from error

    def create(self) -> None:
        """Make the folder and write config.json."""
        self.folder.mkdir(parents=True, exist_ok=True)
        images = {"images": self.config.images} if self.config.images else {}
        write_json(self.folder / "config.json", self.config.to_dict() | images)

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from training here within the block, which may contain another such block.

        The lock is freed when the process dies, for whatever reason; `locks` says which file systems allow that. A
        process that only reads, or only adds an evaluation or a figure, takes no lock. Entering raises Held if another
        process trains or evaluates the run, PIEError if the folder cannot be made or locked.
        """
        held = f"another process is training or evaluating {self.folder}; wait for it, or choose another folder"
        return lock(self.folder / ".lock", held)

    @property
    def weights(self) -> Path:
        own, shared = self.folder / "weights.safetensors", self.folder / SHARED_WEIGHTS
        return shared if shared.exists() and not own.exists() else own

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def previous_checkpoint(self) -> Path:
        return self.folder / "checkpoint.previous.safetensors"

    @property
    def figures(self) -> Path:
        return self.figures_folder or self.folder / "figures"

    def drawing_into(self, folder: Path | None) -> Run:
        """Return the same run with another folder for its figures; None keeps the one that it has."""
        return replace(self, figures_folder=folder or self.figures_folder)

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run, of whatever configuration."""
        return (self.folder / "config.json").exists()

    @property
    def finished(self) -> bool:
        """Whether the training has finished."""
        return self.weights.exists()

    @property
    def evaluated(self) -> bool:
        """Whether the run is trained and has an evaluation (`evaluation.evaluate` checks that it fits)."""
        return self.finished and (self.folder / "evaluation.json").exists()

    @property
    def heartbeat(self) -> Heartbeat | None:
        """What the process that works on the run, or the last one that did, says of it."""
        return Heartbeat.read(self.folder)

    @property
    def epochs_done(self) -> int:
        """How many epochs the training has completed, whoever trains; 0 if metrics.csv does not say."""
        try:
            rows = read_bytes(self.folder / "metrics.csv", LARGEST_JSON).count(b"\n") - 1
        except (OSError, ValueError):
            return 0
        return min(max(rows, 0), self.config.resolved.epochs)

    @property
    def files(self) -> list[Path]:
        """All files that a training writes, with the checkpoints and the heartbeat, which it removes at its end."""
        names = ("config.json", "metrics.csv", "provenance.json", "learning_curve.pdf", "learning_curve.png", FILE)
        return [*(self.folder / name for name in names), self.checkpoint, self.previous_checkpoint, self.weights]

    def clear(self, keep: Collection[str] = ()) -> None:
        """Remove what a training wrote and the figures drawn from it, except the files named in `keep`."""
        others = (self.folder / CODING, *self.folder.glob("evaluation.*"), *self.figures.glob("*"))
        for path in (*self.files, *others):
            if path.name not in keep and not path.is_dir():
                path.unlink(missing_ok=True)

    def save_weights(self, model: Autoencoder, half: bool = False) -> None:
        """Write weights.safetensors with the configuration inside; with `half`, with parameters marked as float16.

        Buffers stay as they are: a rotation's constant must be orthogonal to float32's precision.
        """
        tensors, metadata = model.state_dict(), {**self.config.to_dict(), "layout": LAYOUT}
        if half:
            tensors |= {name: parameter.half() for name, parameter in model.named_parameters()}
            metadata |= {"parameters": "float16"}
        save_tensors(self.weights, tensors, metadata)

    def read_weights(self) -> bytes:
        """Return the content of the file of weights. Raises UnusableRun if it cannot be read."""
        try:
            return read_bytes(self.weights, LARGEST_FILE)
        except (OSError, ValueError) as error:
            raise UnusableRun(self.weights, f"{self.weights} is not readable ({error})") from error

    def load_model(self, device: torch.device | str = "cpu") -> Autoencoder:
        """Return the trained model in eval mode.

        Raises PIEError if training has not finished, or the weights are damaged or of another run.
        """
        if not self.finished:
            raise PIEError(f"{self.folder} has no weights yet: its training has not finished; resume it first")
        tensors, metadata = load_tensors(self.weights)
        layout = metadata.pop("layout", 1)
        if metadata.pop("parameters", None) == "float16":
            tensors = {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}
        if not self.config.matches(metadata):
            other = f"another configuration than {self.folder / 'config.json'}"
            raise UnusableRun(self.weights, f"{self.weights} belongs to {other}")
        try:
            model = restore_model(self.config.model, tensors, layout, self.build)
        except ValueError as error:
            problem = f"{self.weights} is not of the model that its configuration describes ({error})"
            raise UnusableRun(self.weights, problem) from error
        model.folder = self.folder
        return model.eval().to(device)

    def save_checkpoint(self, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
        """Write checkpoint.safetensors with the configuration inside; the one before it stays beside it."""
        save_tensors(self.checkpoint, tensors, {"config": self.config.to_dict(), **metadata}, self.previous_checkpoint)

    def load_checkpoint(
        self, check: Callable[[Tensors, Metadata], None], report: Callable[[str], None]
    ) -> tuple[Tensors, Metadata] | None:
        """Return the newest good checkpoint (`check` raises ValueError for a bad one), or None if there is none.

        If the newest one is bad, `report` gets a line that says so and from which step the training goes on. Raises
        PIEError if checkpoints exist but all are bad, or one belongs to another configuration.
        """

        def belongs(path: Path, tensors: Tensors, metadata: Metadata) -> None:
            if "config" not in metadata:
                raise ValueError("it is not a checkpoint")
            if not self.config.matches(metadata["config"]):
                raise PIEError(f"{path} belongs to another configuration than the run; remove it")
            check(tensors, metadata)

        if (found := load_newest((self.checkpoint, self.previous_checkpoint), belongs)) is None:
            return None
        tensors, metadata, problem = found
        if problem:
            report(f"{problem}; going on from the checkpoint before it, of step {metadata['step']}")
        return tensors, metadata

    def remove_litter(self) -> None:
        """Remove the partial files that killed trainings have left; this process must hold the lock."""
        for path in self.files:
            for part in self.folder.glob(f".{path.name}.*"):
                part.unlink(missing_ok=True)

    def remove_checkpoints(self) -> None:
        """Remove both checkpoints, if they exist."""
        for path in (self.checkpoint, self.previous_checkpoint):
            path.unlink(missing_ok=True)

    @property
    def provenance(self) -> dict[str, Any]:
        """What provenance.json says; empty if it is missing. Raises PIEError if it cannot be understood."""
        path = self.folder / "provenance.json"
        try:
            facts = read_json(path)
            if not (isinstance(seconds := facts.get("wall_seconds", 0.0), (int, float)) and 0 <= seconds < LONGEST):
                raise ValueError("wall_seconds is not a number of seconds")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise PIEError(f"{path} cannot be understood: {error}; restore it or remove it") from error
        return facts

    @property
    def history(self) -> pd.DataFrame:
        """What metrics.csv says: a row of numbers for each epoch; empty if it is missing.

        Raises PIEError if it cannot be understood.
        """
        import pandas as pd  # which who loads a model does not need

        path = self.folder / "metrics.csv"
        try:
            table = pd.read_csv(io.BytesIO(read_bytes(path, LARGEST_JSON)))
            if not isinstance(table.index, pd.RangeIndex):
                raise ValueError("rows have more fields than the header")
            return table.astype(float)
        except FileNotFoundError:
            return pd.DataFrame()
        except (OSError, ValueError, OverflowError) as error:
            reason = one_line(str(error))[:200]
            raise PIEError(f"{path} cannot be understood: {reason}; restore it or remove it") from error


def save_model(model: Autoencoder, run_folder: Path | str, overwrite: bool = False) -> None:
    """Write a model that was trained elsewhere as a run folder, for `load_model` and the figure commands.

    Its images may have any shape. The weights are kept in float32. With `overwrite`, a run in the folder is replaced,
    and its figures are removed.

    Raises:
        ValueError: if it is not one of the models, or its configuration does not describe it (it has its own networks,
            say), or a weight is not finite.
        PIEError: if the folder is not empty, unless it holds a run and `overwrite` is set; or if it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pie_cli import PIE, PIEConfig
        >>> model = PIE(PIEConfig(image_shape=(3, 8, 8), latent_dim=4))
        >>> with TemporaryDirectory() as folder:
        ...     save_model(model, folder)
        ...     load_model(folder).sample(2).shape
        torch.Size([2, 3, 8, 8])
    """
    restored = plain_copy(model)
    run = Run(Path(run_folder), RunConfig(restored.config, training=None))
    if run.folder.is_dir() and any(path.name != ".lock" for path in run.folder.iterdir()):
        if not overwrite:
            raise PIEError(f"{run.folder} is not empty; choose another folder, or overwrite the run in it")
        Run.open(run.folder)  # nothing but a run is overwritten
    with run.lock():
        run.save_weights(restored)
        run.create()
        run.clear(keep=("config.json", run.weights.name))  # the rest belongs to the run that was there


def load_model(run_folder: Path | str, device: torch.device | str = "cpu") -> Autoencoder:
    """Return the trained model of a run folder in eval mode, on the CPU unless `device` says otherwise.

    The folder may be one that `pie export` made for a model hub, or hf://owner/name or hf://owner/name@revision, which
    huggingface_hub (the extra `hub`) fetches into its cache. The result does not depend on torch's default type and
    device, gradient mode and random state, nor change them.

    Raises PIEError if the folder holds no finished run or a damaged one, or if it cannot be fetched. `save_model` has
    an example.

    Example:
        >>> load_model("no/such/folder")
        Traceback (most recent call last):
        pie_cli.errors.PIEError: no/such/folder is not a run folder: it has no config.json
    """
    from pie_cli.runs.find import open_run  # which needs this module

    return open_run(run_folder).load_model(device)
