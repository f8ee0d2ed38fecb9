"""One training in several processes: which runs allow it, how they start, what they agree on, how they end together.

Every process (a rank) runs the same command on one device. `start_ranks` has torchrun start and watch the ranks of this
machine. They can also be started by torchrun by hand, by Slurm or by another launcher. Fabric finds out from the
environment.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, environments
from torch import Tensor

from pie_cli.config.run import RunConfig, TrainingConfig
from pie_cli.errors import Interrupted, PIEError, UsageError
from pie_cli.models.config import PIEConfig
from pie_cli.runtime import (
    SIGNALS,
    Execution,
    check_machine,
    compiles,
    ending_at_once,
    ignore_signals,
    slow_bfloat16,
)

LOST = "a training process died (out of memory?), so all have stopped; go on with the same command and `resume`"
SHUTDOWN_SECONDS = 60  # for the ranks to save a checkpoint once they are asked to stop
WATCHED = "PIE_WATCHED"  # environment variable: `start_ranks` watches this rank and says what happened to it


def plan_execution(
    config: RunConfig,
    accelerator: str,
    devices: int | None = None,
    num_nodes: int | None = None,
    compiled: bool = False,
    recompute: bool = False,
    report: Callable[[str], None] = print,
) -> Execution:
    """Return where a run trains. Raises UsageError if the machine, the launcher or the run does not allow it.

    None stands for as many devices (on each node) and nodes as torchrun or Slurm has started, else 1. `report` gets a
    line if there is no compiler, so that nothing is compiled, and if the precision makes training slow.
    """
    if (started := _started_processes()) is not None:
        there = (devices or 1, started[1]) if _starts_its_own(started, devices) else started
        for name, wanted, found in zip(("devices", "num_nodes"), (devices, num_nodes), there, strict=True):
            if wanted not in (None, found):
                raise UsageError(f"`{name}` {wanted}, but torchrun or Slurm started this with {found}; leave it out")
        devices, num_nodes = there
    devices, num_nodes = devices or 1, num_nodes or 1
    known = {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys()
    if num_nodes > 1 and not (known or _launched()):
        advice = "start the command with torchrun or srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on every node"
        raise UsageError(f"`num_nodes` {num_nodes}: nothing says where the other nodes are; {advice}")
    if num_nodes > 1 and not _launched() and (number := _this_node()[0]) >= num_nodes:
        raise UsageError(f"`num_nodes` {num_nodes}: NODE_RANK must lie between 0 and {num_nodes - 1}, got {number}")
    if recompute and (compiled or not isinstance(config.model, PIEConfig)):
        raise UsageError("`recompute` is for PIE's bijections: it does not go with another model or `compile`")
    compiled = compiles(compiled, accelerator, report)
    precision = config.resolved.precision
    check_machine(accelerator, devices, precision)
    if precision == "bf16-mixed" and slow_bfloat16(accelerator):
        report("`precision` bf16-mixed: this CPU only emulates bfloat16; 32-true would take a fraction of the time")
    execution = Execution(accelerator, devices, num_nodes, compiled, recompute)
    world_size, size = execution.world_size, config.resolved.batch_size
    if world_size > 1 and not isinstance(config.model, PIEConfig):
        # BatchNorm and the MMD look at a whole batch, and the VAE draws its noise inside the model.
        reason = "a part of a batch has other batch statistics than the whole"
        raise UsageError(f"{world_size} processes: only PIE trains on several devices, since {reason}")
    if size % world_size:
        whole = f"is the whole batch of all {world_size} processes"
        raise UsageError(f"`batch_size` {size} {whole} and must be divisible by {world_size}")
    return execution


def _starts_its_own(started: tuple[int, int], devices: int | None) -> bool:
    """Return whether this process, Slurm's only task on its node, must start the processes of the node."""
    return started[0] == 1 and (devices or 1) > 1 and not _torchrun()


def _started_processes() -> tuple[int, int] | None:
    """Return (processes on each node, nodes) as torchrun or Slurm has started them; None without either."""
    if _torchrun():
        _number("RANK", least=0)
        local, world = _number("LOCAL_WORLD_SIZE"), _number("WORLD_SIZE")
        if world % local:
            raise UsageError(
                f"torchrun started {world} processes, {local} on this machine; start the same number on each"
            )
        return local, world // local
    if environments.SLURMEnvironment.detect():
        tasks, nodes = _number("SLURM_NTASKS"), _number("SLURM_NNODES", "1")
        if tasks % nodes:
            advice = "start the command with srun --ntasks-per-node …"
            raise UsageError(f"Slurm started {tasks} tasks on {nodes} nodes, not as many on each; {advice}")
        if tasks > 1 and not {"SLURM_STEP_ID", "SLURM_NTASKS_PER_NODE"} <= os.environ.keys():
            raise UsageError(f"this Slurm job has {tasks} tasks; start the command with srun --ntasks-per-node …")
        return tasks // nodes, nodes
    return None


def _torchrun() -> bool:
    """Return whether torchrun has started this process. It sets all of these variables; one alone is a stray one."""
    there = {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= os.environ.keys()
    return there and environments.TorchElasticEnvironment.detect()


def _number(name: str, default: str = "", least: int = 1) -> int:
    """Return the whole number in a launcher's environment variable. Raises UsageError if there is none."""
    text = os.environ.get(name, default)
    if not text.isdecimal() or int(text) < least:
        raise UsageError(
            f"the environment variable {name} is {text!r}, not a whole number of at least {least}; fix that"
        )
    return int(text)


def _launched() -> bool:
    """Return whether torchrun, Slurm, LSF or MPI has started this process."""
    return bool(_started_processes() or environments.LSFEnvironment.detect() or environments.MPIEnvironment.detect())


def lacks_ranks(execution: Execution) -> bool:
    """Return whether `start_ranks` must still start the processes of a training."""
    started = _started_processes()
    launched = _launched() and not (started and _starts_its_own(started, execution.devices))
    return execution.world_size > 1 and not launched


def _this_node() -> tuple[int, str]:
    """Return this machine's number among those of a training, and the address where the first waits for the others."""
    if environments.SLURMEnvironment.detect():
        slurm = environments.SLURMEnvironment()
        return slurm.node_rank(), f"{slurm.main_address}:{slurm.main_port}"
    return _number("NODE_RANK", least=0), f"{os.environ['MASTER_ADDR']}:{_number('MASTER_PORT')}"


def start_ranks(execution: Execution) -> None:
    """Run this program's command line again in every rank of this machine, under torchrun, until all have ended.

    Each rank reports its own errors. Raises PIEError if one was killed, SystemExit with its exit code if one failed or
    was asked to stop.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # only torchrun logs here, and this program reports the same itself
    os.environ[WATCHED] = "1"
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a rank prints no stack when another one has ended
    alone = execution.num_nodes == 1
    number, place = (0, "localhost:0") if alone else _this_node()
    script = sys.argv[0].endswith(".py") and not sys.argv[0].endswith("__main__.py")
    program = [sys.argv[0]] if script else ["-m", "pie_cli"]
    with tempfile.TemporaryDirectory(prefix="pie-") as folder:
        config = LaunchConfig(
            min_nodes=execution.num_nodes,
            max_nodes=execution.num_nodes,
            nproc_per_node=execution.devices,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            run_id="pie",
            rdzv_backend="c10d" if alone else "static",
            rdzv_endpoint=place,
            rdzv_configs={} if alone else {"rank": number},
            max_restarts=0,
            signals_to_handle=",".join(one.name for one in SIGNALS),
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        try:
            with ending_at_once():  # until torchrun, which passes signals on, has found all nodes
                elastic_launch(config, sys.executable)("-u", *program, *sys.argv[1:])
        except ChildFailedError as error:
            codes = [failure.exitcode for failure in error.failures.values()]
            if any(code < 0 for code in codes):
                raise PIEError(LOST) from error
            sys.exit(max(codes))
        except SignalException as error:
            sys.exit(128 + error.sigval)


def start_processes(config: TrainingConfig, execution: Execution) -> Fabric:
    """Return Fabric in this process, connected to the others of the training."""
    mixed = _MixedPrecision(config.precision, execution.accelerator) if config.precision == "bf16-mixed" else None
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each rank would report that it has started
    fabric = Fabric(
        accelerator=execution.accelerator, devices=execution.devices, num_nodes=execution.num_nodes, plugins=mixed
    )
    with ending_at_once() if execution.world_size > 1 else nullcontext():
        fabric.launch()  # waits for all processes, in foreign code
    return fabric


class _MixedPrecision(MixedPrecision):
    """Fabric's, but images reach the model in float32: in bfloat16 they would lose their grey levels and noise."""

    def convert_input(self, data: Any) -> Any:
        return data


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
def ending_together(execution: Execution) -> Iterator[None]:
    """Within the block, all ranks do the same and so fail alike: only rank 0 reports it and has the exit code.

    Rank 0 raises PIEError, also if another process died, or Interrupted; the others silently raise SystemExit.
    """
    try:
        yield
    except (PIEError, Interrupted):
        if execution.is_main:
            raise
        sys.exit(0)  # not a failure, which would end rank 0 while it may still be saving
    except RuntimeError as error:
        if not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        ignore_signals()  # the launcher sends one while Python takes a moment to end this process
        if execution.is_main and WATCHED not in os.environ:
            raise PIEError(LOST) from error
        sys.exit(1)
