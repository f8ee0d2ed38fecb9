"""One training in several processes: who may take part, how they start, where they agree, and that they end together.

Every process (a rank) runs the same command on one device. Fabric starts them on one machine (`--devices`); torchrun
or Slurm start them on one or several, and Fabric sees that in the environment.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from torch import Tensor

from pie_cli.configuration import RunConfig, TrainingConfig
from pie_cli.devices import Execution, can_compile, check_devices, check_precision, is_main_process, slow_bfloat16
from pie_cli.errors import Interrupted, PIEError, UsageError
from pie_cli.pie import PIEConfig

LOST = "a training process died (out of memory?), so all have stopped; go on with the same command and --resume"
GRACE_SECONDS = 10.0  # for the main thread to notice by itself that another rank died, and again for it to end
LAUNCHER = "PIE_LAUNCHER_PID"  # environment variable: the process that started this one with Fabric's launcher

_noticed = threading.Event()  # the main thread has


def plan_execution(
    config: RunConfig,
    accelerator: str,
    devices: int | None = None,
    num_nodes: int | None = None,
    compiled: bool = False,
    recompute: bool = False,
    report: Callable[[str], None] = print,
) -> Execution:
    """Return where a run trains, checked against machine and run.

    Arguments:
        config: the run's.
        accelerator: as `devices.find_accelerator` returns it.
        devices: processes on each node; None stands for what torchrun or Slurm has started, or 1.
        num_nodes: number of nodes; None likewise.
        compiled: use torch.compile, where there is a compiler.
        recompute: recompute activations.
        report: is given a line where there is no compiler, and where the precision makes training slow.

    Raises:
        UsageError: if the machine, the surroundings or the run do not allow it.
    """
    started = _started_processes()
    if started is not None:
        for option, wanted, there in zip(("--devices", "--num-nodes"), (devices, num_nodes), started, strict=True):
            if wanted not in (None, there):
                raise UsageError(f"{option} {wanted}, but torchrun or Slurm started this with {there}; leave it out")
        devices, num_nodes = started
    devices, num_nodes = devices or 1, num_nodes or 1
    known = {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys()
    if num_nodes > 1 and not (started or known or LSFEnvironment.detect() or MPIEnvironment.detect()):
        raise UsageError(
            f"--num-nodes {num_nodes}: nothing says where the other nodes are; start the command with torchrun or "
            "srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on every node"
        )
    if recompute and (compiled or not isinstance(config.model, PIEConfig)):
        raise UsageError("--recompute inverts a PIE's bijections: it does not go with VAE, WAE or --compile")
    if compiled and not can_compile(accelerator):
        compiled = False
        report(f"--compile: torch.compile finds no compiler for {accelerator} here; training without it")
    check_devices(accelerator, devices)
    check_precision(accelerator, config.training.precision)
    if config.training.precision == "bf16-mixed" and slow_bfloat16(accelerator):
        report("--precision bf16-mixed: this CPU only emulates bfloat16; 32-true would take a fraction of the time")
    execution = Execution(accelerator, devices, num_nodes, compiled, recompute)
    world_size = execution.world_size
    if world_size > 1 and not isinstance(config.model, PIEConfig):
        # BatchNorm and the MMD look at a whole batch, and the VAE draws its noise inside the model.
        raise UsageError(
            f"{world_size} processes: VAE and WAE train on one device only, since a part of a batch has other batch "
            "statistics than the whole"
        )
    if config.training.batch_size % world_size:
        raise UsageError(
            f"--batch-size {config.training.batch_size} is the whole batch of all {world_size} processes and must "
            f"divide by {world_size}"
        )
    return execution


def _started_processes() -> tuple[int, int] | None:
    """Return (processes on each node, nodes) as torchrun or Slurm has started them; None without either."""
    if TorchElasticEnvironment.detect():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        tasks, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ.get("SLURM_NNODES", "1"))
        if tasks > 1 and not {"SLURM_STEP_ID", "SLURM_NTASKS_PER_NODE"} <= os.environ.keys():
            raise UsageError(f"this Slurm job has {tasks} tasks; start the command with srun --ntasks-per-node …")
        return tasks // nodes, nodes
    return None


def start_processes(config: TrainingConfig, execution: Execution) -> Fabric:
    """Return Fabric with all processes running, this one among them."""
    accelerator, devices, num_nodes = execution.accelerator, execution.devices, execution.num_nodes
    mixed = _MixedPrecision(config.precision, accelerator) if config.precision == "bf16-mixed" else None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each rank would report that it is there
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=num_nodes, plugins=mixed)
    if fabric.world_size > 1:
        children = getattr(fabric.strategy.launcher, "procs", [])
        threading.Thread(target=_watch, args=(children, os.environ.get(LAUNCHER)), daemon=True).start()
        os.environ[LAUNCHER] = str(os.getpid())
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # children print no stack when this process has ended
    fabric.launch()
    os.environ.pop(LAUNCHER, None)
    return fabric


class _MixedPrecision(MixedPrecision):
    """Fabric's, but images come to the model in float32: in bfloat16 they would lose their grey levels and noise."""

    def convert_input(self, data: Any) -> Any:
        return data


def _watch(started: list[Popen[bytes]], launcher: str | None) -> None:
    """End this process when another one of this machine has died; runs in a thread, beside a main one that may hang.

    With gloo the main thread gets an error, with NCCL it would wait for ever. Fabric's own observer kills the first
    rank without a word, so the children are taken out of its list.
    """
    children: list[Popen[bytes]] = []
    while not any(child.poll() for child in children):
        if launcher and os.getppid() != int(launcher):
            os._exit(1)  # the launcher has ended, and said why
        time.sleep(0.1)
        while started:
            children.append(started.pop())
    if _noticed.wait(GRACE_SECONDS):
        time.sleep(GRACE_SECONDS)
    else:
        print(f"error: {LOST}", file=sys.stderr, flush=True)
    for child in children:
        child.kill()
    os._exit(1)


def mean_over_ranks(fabric: Fabric, value: Tensor) -> Tensor:
    """Return the mean of all ranks' values, the same on each."""
    mean = fabric.all_reduce(value)
    assert isinstance(mean, Tensor)
    return mean


def agreed_signal(fabric: Fabric, signum: int | None) -> int:
    """Return the signal that any rank has received, 0 for none: all ranks then stop after the same step."""
    if fabric.world_size == 1:
        return signum or 0
    agreed = fabric.all_reduce(torch.tensor(signum or 0, device=fabric.device), reduce_op="max")
    assert isinstance(agreed, Tensor)
    return int(agreed)


@contextmanager
def ending_together() -> Iterator[None]:
    """Within the block all ranks do the same, so that they fail alike: rank 0 tells it and has the exit code.

    Raises:
        PIEError, Interrupted: on rank 0; the first also where another process died.
        SystemExit: on the others, silently.
    """
    try:
        yield
    except (PIEError, Interrupted):
        if is_main_process():
            raise
        sys.exit(0)  # none has died, which is all that rank 0 wants to know while it may still be saving
    except RuntimeError as error:
        if not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        _noticed.set()
        if is_main_process():
            raise PIEError(LOST) from error
        sys.exit(1)
