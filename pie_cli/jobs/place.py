"""Where many runs are trained and stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pie_cli.config.run import RunConfig
from pie_cli.data.load import ImageSource
from pie_cli.runs.find import run_of
from pie_cli.runs.folder import Run


@dataclass(frozen=True)
class Place:
    """What a grid of runs is trained on, where it is stored, and where it computes.

    Arguments:
        results_dir: folder of the runs.
        images: what they are trained on.
        accelerator: as `find_accelerator` takes it.
        jobs: runs at once.
        gpus: those that the runs are pinned to in turn, as CUDA_VISIBLE_DEVICES names them; without any, none is.
    """

    results_dir: Path
    images: ImageSource
    accelerator: str
    jobs: int
    gpus: tuple[str, ...] = ()

    def run(self, config: RunConfig) -> Run:
        """Return the run of this configuration."""
        return run_of(config, self.results_dir)
