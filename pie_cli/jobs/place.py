"""Where many runs are trained and stored."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pie_cli.config.run import RunConfig
from pie_cli.data.load import ImageSource
from pie_cli.errors import UsageError
from pie_cli.runs.find import run_of
from pie_cli.runs.folder import Run

LOCAL = "local"


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster that trains runs.

    Arguments:
        scheduler: the address of its scheduler, or "local" for one of our own on this machine.
        device: what its workers compute on, as `find_accelerator` takes it.
    """

    scheduler: str
    device: str

    @classmethod
    def of(cls, scheduler: str, device: str, jobs: int | None) -> Cluster:
        """Return the cluster that the options mean. Raises UsageError if the extra is missing, or `jobs` has no use."""
        if find_spec("distributed") is None:
            extra = "pip install 'pseudo-invertible-encoder[cluster]'"
            raise UsageError(f"`scheduler` needs the extra: {extra}")
        if jobs and scheduler != LOCAL:
            raise UsageError(f"`jobs` is for `scheduler` {LOCAL}: of another cluster, the workers decide; leave it out")
        return cls(scheduler, device)

    @property
    def is_local(self) -> bool:
        """Whether it is one of our own."""
        return self.scheduler == LOCAL


@dataclass(frozen=True)
class Place:
    """What a grid of runs is trained on, where it is stored, and where it computes.

    Arguments:
        results_dir: folder of the runs.
        images: what they are trained on.
        accelerator: as `find_accelerator` takes it.
        jobs: runs at once; 0 for as many as a cluster takes.
        gpus: those that the runs are pinned to in turn, as CUDA_VISIBLE_DEVICES names them; without any, none is.
        cluster: what trains them; None for processes of this machine.
        compiled: whether the loss goes through torch.compile, on machines that can.
    """

    results_dir: Path
    images: ImageSource
    accelerator: str
    jobs: int
    gpus: tuple[str, ...] = ()
    cluster: Cluster | None = None
    compiled: bool = False

    def run(self, config: RunConfig) -> Run:
        """Return the run of this configuration."""
        return run_of(config, self.results_dir)

    @property
    def at_once(self) -> str:
        """How many runs are trained at once, in words."""
        return f"{self.jobs} at a time" if self.jobs or not self.cluster else f"on the cluster {self.cluster.scheduler}"
