"""The process and its machine: where to compute, which signals to handle, which memory to keep."""

import ctypes
import mmap
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from pie_cli.errors import Interrupted, UsageError

# Where to compute


@dataclass(frozen=True)
class Execution:
    """How a training computes; nothing here changes its result, up to rounding."""

    accelerator: str  # as `find_accelerator` returns it
    devices: int = 1  # processes on each node
    num_nodes: int = 1
    compiled: bool = False  # whether the loss goes through torch.compile
    recompute: bool = False  # whether a PIE's activations are recomputed, see `models.recompute`

    @property
    def world_size(self) -> int:
        return self.devices * self.num_nodes

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints: it trains alone, or is the first of those that train together."""
        return self.world_size == 1 or launched_rank() == 0

    def __str__(self) -> str:
        """Return "cuda", "4 × cuda" or "2 nodes × 4 × cuda", and what else was chosen."""
        nodes = f"{self.num_nodes} nodes × " if self.num_nodes > 1 else ""
        place = f"{nodes}{self.devices} × {self.accelerator}" if self.world_size > 1 else self.accelerator
        return place + ", compiled" * self.compiled + ", activations recomputed" * self.recompute


def find_accelerator(device: str) -> str:
    """Return "cuda", "mps" or "cpu", for "auto" the first that is usable. Raises UsageError if `device` is not."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        raise UsageError(f"`device` {device}: no such device is usable on this machine; use `device` auto or cpu")
    if device == "cuda":
        compute_in_float32()
    return device


@contextmanager
def in_float32(device: str) -> Iterator[None]:
    """Within the block, compute in float32 on a device, whatever autocast, TF32 or bfloat16 the caller has chosen."""
    import torch

    parts: Any = torch.backends
    places = [parts.cuda.matmul, parts.cudnn.conv, parts.cudnn.rnn, parts.mkldnn.matmul, parts.mkldnn.conv]
    before = [place.fp32_precision for place in places]
    matmul, tf32 = "highest", True
    with suppress(RuntimeError):  # it raises where the newer interface, of `places`, has been used
        matmul = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        tf32 = parts.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest")
        parts.cudnn.allow_tf32 = False
        for place in places:
            place.fp32_precision = "ieee"
        with torch.autocast(device, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        parts.cudnn.allow_tf32 = tf32
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, each as CUDA_VISIBLE_DEVICES names it."""
    import torch

    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return tuple((names or [str(number) for number in range(count)])[:count])


def compute_in_float32() -> None:
    """Make a GPU compute convolutions in float32, so that s, b and g are the same functions in both directions."""
    import torch

    torch.backends.cudnn.allow_tf32 = False  # TF32, cuDNN's default, has ten bits of mantissa


@contextmanager
def one_thread() -> Iterator[None]:
    """Make torch, and the libraries under NumPy and scikit-learn, compute with one thread.

    The number of threads decides the last bits of a result, and so, at times, where an iteration ends.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def check_machine(accelerator: str, devices: int, precision: str) -> None:
    """Raise UsageError if there are fewer devices, or they lack this precision. Processes share the cores of a CPU."""
    import torch

    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(accelerator, devices)
    if devices > there:
        raise UsageError(f"`devices` {devices}: this machine has only {there} {accelerator} device(s); use no more")
    if precision == "bf16-mixed" and accelerator == "cuda" and not _gpu_has_bfloat16():
        raise UsageError(f"`precision` {precision}: this GPU does not compute in bfloat16; use `precision` 32-true")


def _gpu_has_bfloat16() -> bool:
    """Return whether the GPU computes in bfloat16 itself."""
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


def slow_bfloat16(accelerator: str) -> bool:
    """Return whether the accelerator is a CPU that only emulates bfloat16, which makes a step many times slower."""
    import torch

    return accelerator == "cpu" and not (
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def fastest_precision(accelerator: str) -> Literal["32-true", "bf16-mixed"]:
    """Return "bf16-mixed" for a GPU or a CPU that computes in bfloat16 itself, else "32-true"."""
    has_bfloat16 = {"cuda": _gpu_has_bfloat16, "cpu": lambda: not slow_bfloat16("cpu")}
    return "bf16-mixed" if accelerator in has_bfloat16 and has_bfloat16[accelerator]() else "32-true"


def can_compile(accelerator: str) -> bool:
    """Return whether torch.compile finds what it needs: Triton for a GPU, a C++ compiler for a CPU."""
    if accelerator == "cuda":
        return find_spec("triton") is not None
    compilers = (os.environ.get("CXX"), "g++", "clang++")
    return accelerator == "cpu" and any(shutil.which(name) for name in compilers if name)


def compiles(wanted: bool, accelerator: str, report: Callable[[str], None]) -> bool:
    """Return whether to use torch.compile; `report` gets a line if it is wanted, but there is no compiler."""
    if wanted and not can_compile(accelerator):
        report(f"torch.compile finds no compiler for {accelerator} here; training without it")
        return False
    return wanted


def cache_folder() -> Path:
    """Return this program's cache folder on the platform. Raises RuntimeError if the user has no home folder."""
    from platformdirs import user_cache_path

    return user_cache_path("pie")


def keep_compiled_code() -> None:
    """Have torch.compile keep its results in this program's cache folder: a later process then starts in seconds.

    Torch's own place is the folder for temporary files, which a restart empties. It stays where there is no other.
    """
    with suppress(RuntimeError, OSError):  # no home folder, or one that cannot be written
        folder = cache_folder() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def launched_rank() -> int:
    """Return this process's number among those that a launcher (torchrun, Slurm, LSF, MPI) has started; 0 without one.

    It matters only if these processes train together, see `Execution.is_main`.
    """
    names = ["SLURM_PROCID", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        names = ["RANK"]
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 0)


def cores() -> int:
    """Return how many cores this process may use: a cluster may give a job only some of a machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Memory

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_MADV_HUGEPAGE = 14  # from Linux's mman.h
_KEPT_BYTES = 1 << 30
_HUGE_BYTES = 1 << 29  # more than the tensors of a training step at the defaults


def keep_freed_memory() -> None:
    """Make the allocator keep the memory that tensors free, in huge pages, for the tensors of the next step.

    By default, glibc returns large blocks to the system at once, so each training step has tens of thousands of pages
    cleared and mapped again. That takes a tenth of a PIE's step on a CPU. Another twentieth goes into looking up pages
    of 4 kB, of which a tensor has hundreds. Without glibc, nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL(None)
        mallopt, malloc, free, madvise = libc.mallopt, libc.malloc, libc.free, libc.madvise
    except (OSError, AttributeError):  # another C library than glibc
        return
    mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    # A block that is freed at once stays with the allocator, which places tensors in it; only then is memory used.
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free.argtypes, madvise.argtypes = [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if block := malloc(_HUGE_BYTES):
        madvise(block + -block % mmap.PAGESIZE, _HUGE_BYTES - mmap.PAGESIZE, _MADV_HUGEPAGE)
        free(block)


# Signals: they take effect at once if nothing can be lost, and after the current step if a checkpoint is to be saved

ECHO_SECONDS = 1.0


def _heeded() -> list[signal.Signals]:
    """Return the signals that ask a process to stop, if the system has them.

    They stand for Ctrl-C, a request to stop, a closed terminal, and Slurm's warning before a limit. A process that was
    started by nohup ignores that its terminal is closed.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    there = [signal.Signals[name] for name in names if hasattr(signal, name)]
    return [one for one in there if one.name != "SIGHUP" or signal.getsignal(one) != signal.SIG_IGN]


SIGNALS = _heeded()  # found when the process starts, before it handles or ignores any


Handlers = dict[signal.Signals, Any]


def _handle(handler: Any) -> Handlers:
    """Set the handler of all `SIGNALS` and return their previous ones. In other threads, which may not, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {signum: signal.signal(signum, handler) for signum in SIGNALS}


def _restore(previous: Handlers) -> None:
    for signum, handler in previous.items():
        signal.signal(signum, handler)


def raise_on_signals() -> None:
    """From now on, a signal to stop raises `Interrupted` wherever the program is."""

    def handle(signum: int, frame: FrameType | None) -> None:
        raise Interrupted(signum, "stopped; files written so far are whole")

    _handle(handle)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within the block, a signal to stop ends the process: no Python handler runs while foreign code waits."""
    previous = _handle(signal.SIG_DFL)
    try:
        yield
    finally:
        _restore(previous)


@contextmanager
def shielding() -> Iterator[None]:
    """Within the block, Ctrl-C waits, and so do other signals to stop but SIGTERM.

    The threads and processes that are started in it never get them: whoever has started them tells them to stop.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it starts, it lets Ctrl-C through
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS} - {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def ignore_signals() -> None:
    """From now on, ignore signals to stop until a training defers them: the other processes end with the first."""
    _handle(signal.SIG_IGN)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], int | None]]:
    """Within the block, the first signal is only noted, and the yielded function returns its number; a second one acts.

    A second one within `ECHO_SECONDS` does not count: Ctrl-C in a terminal, or a cluster's stop, reaches a parent and
    its children at once, and then the parent tells its children again.
    """
    noted: list[tuple[int, float]] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        if not noted:
            noted.append((signum, time.monotonic()))
        elif time.monotonic() - noted[0][1] > ECHO_SECONDS:
            _restore(previous)
            signal.raise_signal(signum)

    previous = _handle(handle)
    try:
        yield lambda: noted[0][0] if noted else None
    finally:
        _restore(previous)
